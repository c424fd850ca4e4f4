// The ways to look at two pictures of one size: a slider between them, blinking, and their difference.
"use strict";

{
  const element = metamer.element;
  const picture = (source, alt) => element("img", { src: source, alt, draggable: "false" });
  const caption = (text, place) => element("figcaption", place ? { class: place } : {}, text);

  // Each function fills a pane for {label, source, alt} twice, and returns an object with stop().
  metamer.comparisons = {
    slider(pane, left, right, controls) {
      const set = (share) => {
        controls.at = Math.min(100, Math.max(0, share));
        pane.style.setProperty("--at", controls.at + "%");
        controls.range.value = controls.at;
      };
      const handle = element("div", { class: "handle" });
      const move = (event) => {
        const box = pane.getBoundingClientRect();
        set(((event.clientX - box.left) / box.width) * 100);
      };
      handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
      handle.addEventListener("pointermove", (event) => { if (handle.hasPointerCapture(event.pointerId)) move(event); });
      pane.append(
        element("div", { class: "layer" }, element("div", { class: "zoomed" }, picture(left.source, left.alt))),
        element("div", { class: "layer over" }, element("div", { class: "zoomed" }, picture(right.source, right.alt))),
        handle, caption(left.label), caption(right.label, "right"),
      );
      controls.range.oninput = () => set(Number(controls.range.value));
      set(controls.at === undefined ? 50 : controls.at);
      return { stop() { controls.range.oninput = null; } };
    },

    blink(pane, left, right, controls) {
      const images = [picture(left.source, left.alt), picture(right.source, right.alt)];
      const labels = [caption(left.label), caption(right.label)];
      let shown = 1, timer = null;
      const turn = () => {
        shown = 1 - shown;
        images.forEach((image, number) => { image.style.visibility = number === shown ? "visible" : "hidden"; });
        labels.forEach((label, number) => { label.hidden = number !== shown; });
      };
      const run = (on) => {
        clearInterval(timer);
        timer = on ? setInterval(turn, 600) : null;
        controls.pause.textContent = on ? "Pause" : "Play";
      };
      pane.append(element("div", { class: "zoomed" }, ...images), ...labels);
      controls.pause.onclick = () => run(timer === null);
      turn();
      run(!matchMedia("(prefers-reduced-motion: reduce)").matches);
      return { turn, stop() { run(false); controls.pause.onclick = null; }, toggle: () => run(timer === null) };
    },

    // |left - right|, by the browser's own blending: scripts may not read the pixels of pictures opened from disk.
    difference(pane, left, right, controls) {
      const both = element("div", { class: "zoomed difference" }, picture(left.source, left.alt), picture(right.source, right.alt));
      const show = () => {
        const heat = controls.heat.checked ? " url(#heat)" : "";
        both.style.filter = `brightness(${controls.gain.value})${heat}`;
        controls.scale.classList.toggle("gray", !controls.heat.checked);
        controls.most.textContent = Math.round(255 / controls.gain.value);
      };
      pane.append(element("div", { class: "layer" }, both), caption(`| ${left.label} − ${right.label} |`));
      controls.heat.onchange = controls.gain.onchange = show;
      show();
      return { stop() { controls.heat.onchange = controls.gain.onchange = null; } };
    },
  };

  // Grey to colour: the luminance looked up in a colour map (dark violet, red, yellow), as an SVG filter.
  const SVG = "http://www.w3.org/2000/svg";
  const node = (tag, attributes, ...children) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const channel = (name, values) => node(name, { type: "table", tableValues: values });
  metamer.heatFilter = () => node("svg", { width: 0, height: 0, "aria-hidden": "true", style: "position:absolute" },
    node("filter", { id: "heat", "color-interpolation-filters": "sRGB" },
      node("feColorMatrix", { type: "matrix", values: [0, 1, 2].map(() => ".333 .333 .333 0 0").join(" ") + " 0 0 0 1 0" }),
      node("feComponentTransfer", {},
        channel("feFuncR", "0 .231 .549 .871 .996 .988"),
        channel("feFuncG", "0 .059 .161 .286 .624 .992"),
        channel("feFuncB", "0 .439 .506 .408 .427 .749"))));
}
