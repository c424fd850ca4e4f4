// The viewer: one image large, all its pictures side by side or two of them compared.
"use strict";

metamer.Viewer = class {
  // `at(position)` gives the item at a position of the list that is shown, `count()` its length;
  // `left(index)` is called when the viewer is closed, with the item that it showed last.
  constructor(dialog, { at, count, changed, left }) {
    Object.assign(this, { dialog, at, count, changed, left, mode: "pictures", position: 0, pair: null, running: null });
    this.zoom = new metamer.Zoom((zoom) => { if (this.percent) this.percent.textContent = Math.round(zoom.scale * 100) + " %"; });
    this.build();
  }

  build() {
    const element = metamer.element;
    const button = (label, title, onclick) => element("button", { type: "button", title, "aria-label": title, onclick }, label);
    this.name = element("h2", { id: "viewer-name" });
    this.place = element("span", { class: "quiet" });
    this.scores = element("span", { class: "scores" });
    this.previous = button("‹", "Previous image (left arrow)", () => this.step(-1));
    this.next = button("›", "Next image (right arrow)", () => this.step(1));
    this.percent = element("span", { class: "quiet", role: "status" }, "100 %");
    const modes = element("fieldset", { class: "modes" }, element("legend", {}, "View"));
    this.showMode = metamer.choice(modes, [
      ["pictures", "Pictures", "All pictures side by side (1)"], ["slider", "Slider", "A slider between two pictures (2)"],
      ["blink", "Blink", "Two pictures in turn (3)"], ["difference", "Difference", "How much two pictures differ (4)"],
    ], this.mode, (mode) => this.setMode(mode));
    const pick = () => { this.pair = [this.first.value, this.second.value]; this.draw(); };
    this.first = element("select", { onchange: pick, "aria-label": "First picture" });
    this.second = element("select", { onchange: pick, "aria-label": "Second picture" });
    const presets = ["input | output", "output | truth", "input | truth"];
    this.presets = element("fieldset", { class: "two" }, ...presets.map((text) => element("button", { type: "button" }, text)));
    const gains = [1, 2, 4, 8, 16].map((gain) => element("option", { value: gain, selected: gain === 4 }, "× " + gain));
    this.controls = {
      range: element("input", { type: "range", min: 0, max: 100, step: 0.5, value: 50, "aria-label": "Position of the slider" }),
      pause: element("button", { type: "button" }, "Pause"),
      gain: element("select", { "aria-label": "Brightness of the difference" }, ...gains),
      heat: element("input", { type: "checkbox", checked: true }),
      most: element("span"),
      scale: element("span", { class: "scale" }),
    };
    const { range, pause, gain, heat, most, scale } = this.controls;
    scale.append("0", element("i"), most);
    this.stage = element("div", { class: "stage" });
    this.dialog.append(
      element("header", {}, this.previous, this.next, this.name, this.place, this.scores,
        element("button", { type: "button", class: "close", "aria-label": "Close (Escape)", title: "Close (Escape)", onclick: () => this.dialog.close() }, "✕")),
      element("div", { class: "tools" }, modes,
        element("span", { class: "two" }, this.first, button("⇄", "Swap the two pictures (s)", () => this.swap()), this.second), this.presets,
        element("span", { class: "only slider-only" }, range), element("span", { class: "only blink-only" }, pause),
        element("span", { class: "only difference-only" }, gain, element("label", {}, heat, "colours"), scale),
        element("fieldset", { class: "end" }, button("−", "Zoom out (-)", () => this.zoom.zoomBy(1 / 1.5)), this.percent,
          button("+", "Zoom in (+)", () => this.zoom.zoomBy(1.5)), button("Fit", "Whole picture (0)", () => this.zoom.reset()))),
      this.stage,
      element("p", { class: "keys" }, ...this.keysHelp()),
      metamer.heatFilter(),
    );
    document.addEventListener("keydown", (event) => { if (this.dialog.open) this.key(event); });
    this.dialog.addEventListener("close", () => { this.stop(); this.changed(null); this.left(this.position); });
  }

  keysHelp() {
    const help = (text, ...names) => metamer.element("span", {}, ...names.flatMap((name) => [metamer.element("kbd", {}, name), " "]), text);
    return [help("previous, next", "←", "→"), help("view", "1", "2", "3", "4"), help("blink by hand", "space"), help("swap", "s"),
      help("zoom", "+", "−", "0"), help("zoom and move all pictures together", "wheel", "drag"), help("close", "Esc")];
  }

  open(position, label) {
    this.position = position;
    const { input, truth, outputs } = metamer.page.roles;
    if (!this.pair || (label && !this.pair.includes(label))) {
      const output = outputs.includes(label) ? label : outputs[0];
      this.pair = [input || truth || output, output || input];
    }
    if (!this.dialog.open) this.dialog.showModal();
    this.zoom.reset();
    this.draw();
  }

  setMode(mode) {
    this.mode = mode;
    this.showMode(mode);
    this.draw();
  }

  swap() {
    this.pair.reverse();
    this.draw();
  }

  step(by) {
    const to = this.position + by;
    if (to < 0 || to >= this.count()) return;
    this.position = to;
    this.draw();
  }

  stop() {
    if (this.running) this.running.stop();
    this.running = null;
  }

  draw() {
    const element = metamer.element, item = this.at(this.position), labels = Object.keys(item.files);
    this.stop();
    this.dialog.dataset.mode = this.mode;
    this.name.textContent = item.name;
    this.place.textContent = `${this.position + 1} of ${this.count()}`;
    this.scores.textContent = Object.entries(item.scores).map(([name, value]) => `${name} ${metamer.number(value)}`).join("  ·  ");
    // Not disabled: a button that has the focus would lose it.
    this.previous.setAttribute("aria-disabled", String(this.position === 0));
    this.next.setAttribute("aria-disabled", String(this.position === this.count() - 1));
    this.fillSelects(labels);
    this.zoom.clear();
    const pane = (...children) => {
      const made = element("figure", { class: "pane" }, ...children);
      for (const image of made.querySelectorAll("img")) image.addEventListener("load", () => this.zoom.apply(), { once: true });
      return made;
    };
    const view = (label) => ({ label, source: item.files[label], alt: `${label} of ${item.name}` });
    let panes;
    if (this.mode === "pictures") {
      panes = labels.map(view).map(({ label, source, alt }) => pane(
        element("div", { class: "zoomed" }, element("img", { src: source, alt, draggable: "false" })), element("figcaption", {}, label)));
    } else {
      panes = [pane()];
      const pair = this.pair.map((label, number) => (labels.includes(label) ? label : labels[Math.min(number, labels.length - 1)]));
      this.running = metamer.comparisons[this.mode](panes[0], view(pair[0]), view(pair[1]), this.controls);
    }
    this.stage.replaceChildren(...panes);
    this.arrange(panes.length, item.size);
    for (const each of panes) this.zoom.add(each);
    this.preload();
    this.changed(item);
  }

  // The number of columns that makes the pictures largest.
  arrange(count, [width, height]) {
    const room = [this.stage.clientWidth, this.stage.clientHeight];
    let best = [0, 1];
    for (let columns = 1; columns <= count; columns += 1) {
      const rows = Math.ceil(count / columns);
      const scale = Math.min(room[0] / columns / width, room[1] / rows / height);
      if (scale > best[0]) best = [scale, columns];
    }
    this.stage.style.gridTemplateColumns = `repeat(${best[1]}, minmax(0, 1fr))`;
    this.stage.style.gridAutoRows = "minmax(0, 1fr)";
  }

  fillSelects(labels) {
    const options = () => labels.map((label) => metamer.element("option", { value: label }, label));
    [this.first, this.second].forEach((select, number) => {
      select.replaceChildren(...options());
      select.value = labels.includes(this.pair[number]) ? this.pair[number] : labels[Math.min(number, labels.length - 1)];
    });
    const { input, truth, outputs } = metamer.page.roles;
    const output = outputs.includes(this.pair[1]) ? this.pair[1] : outputs.includes(this.pair[0]) ? this.pair[0] : outputs[0];
    const known = { "input | output": [input, output], "output | truth": [output, truth], "input | truth": [input, truth] };
    for (const button of this.presets.children) {
      const pair = known[button.textContent];
      button.hidden = !pair.every((label) => labels.includes(label));
      button.setAttribute("aria-pressed", String(pair.join() === this.pair.join()));
      button.onclick = () => { this.pair = pair; this.draw(); };
    }
  }

  preload() {
    for (const by of [1, -1]) {
      const position = this.position + by;
      if (position < 0 || position >= this.count()) continue;
      for (const source of Object.values(this.at(position).files)) new Image().src = source;
    }
  }

  key(event) {
    const typing = event.target.matches("input[type=range], select");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      ArrowLeft: () => !typing && this.step(-1), ArrowRight: () => !typing && this.step(1),
      Home: () => !typing && this.step(-this.position), End: () => !typing && this.step(this.count() - 1 - this.position),
      1: () => this.setMode("pictures"), 2: () => this.setMode("slider"), 3: () => this.setMode("blink"), 4: () => this.setMode("difference"),
      "+": () => this.zoom.zoomBy(1.5), "=": () => this.zoom.zoomBy(1.5), "-": () => this.zoom.zoomBy(1 / 1.5), 0: () => this.zoom.reset(),
      s: () => this.swap(),
      " ": () => {
        if (event.target.matches("button, input, select")) return false;
        if (this.mode === "blink") this.running.turn();
        else this.setMode("blink");
      },
    }[event.key];
    if (act && act() !== false) event.preventDefault();
  }
};
