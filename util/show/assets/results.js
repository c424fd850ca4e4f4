// The grid of a test's pictures. Only the lines near the screen exist in the document.
"use strict";

{
  const SIZES = { small: 88, medium: 152, large: 256 };
  const GAP = 14, INNER = 2, CAPTION = 24, SMALLEST = 64;
  const PRINTED = 500; // images of a printed page at most
  const element = metamer.element;
  const $ = (id) => document.getElementById(id);
  const state = Object.assign({ filter: "", sort: "", order: "", size: "medium", image: "" }, metamer.state.read());
  const view = { shown: [], lines: new Map(), labels: [], hidden: new Set(), range: null, position: new Map() };
  let viewer;

  const remember = () => metamer.state.write({
    filter: state.filter, sort: state.sort, order: state.order, size: state.size === "medium" ? "" : state.size, image: state.image,
  });

  // --- which images, in which order ---------------------------------------------------------------------------------

  const byName = new Intl.Collator("en", { numeric: true }).compare;

  function select() {
    const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
    let chosen = metamer.items.filter((item) => words.every((word) => item.key.includes(word)));
    if (view.range) {
      const [metric, low, high] = view.range;
      chosen = chosen.filter((item) => item.scores[metric] >= low && item.scores[metric] < high);
    }
    if (state.sort === "name") chosen.sort((one, other) => byName(one.name, other.name));
    else if (state.sort) {
      const value = (item) => (isFinite(item.scores[state.sort]) ? item.scores[state.sort] : Infinity); // unknown: last
      chosen.sort((one, other) => (value(one) < value(other) ? -1 : value(one) > value(other) ? 1 : 0));
    }
    if (state.order === "down") chosen.reverse();
    view.shown = chosen;
    const all = metamer.items.length;
    $("count").textContent = chosen.length === all ? `${all} images` : `${chosen.length} of ${all} images`;
    $("nothing").hidden = chosen.length > 0;
    remember();
    layout();
  }

  // --- where they are -----------------------------------------------------------------------------------------------

  function layout() {
    const room = $("scroller").clientWidth;
    view.labels = metamer.page.labels.filter((label) => !view.hidden.has(label));
    const columns = Math.max(1, view.labels.length);
    // As many cards a line as the chosen size allows; their pictures then share the width of the line.
    view.per = Math.max(1, Math.round((room + GAP) / (columns * (SIZES[state.size] + INNER) + GAP)));
    view.thumb = Math.max(SMALLEST, Math.floor(((room + GAP) / view.per - GAP + INNER) / columns) - INNER);
    if (view.per === 1) view.thumb = Math.min(view.thumb, SIZES[state.size] * 1.5);
    const [width, height] = metamer.page.size;
    view.high = Math.round(view.thumb * Math.min(1.5, Math.max(0.4, height / width)));
    view.wide = columns * (view.thumb + INNER) - INNER;
    view.step = view.high + CAPTION + GAP;
    $("grid").style.height = Math.ceil(view.shown.length / view.per) * view.step + "px";
    $("grid").style.width = view.per * (view.wide + GAP) - GAP + "px";
    const focused = document.activeElement && document.activeElement.closest(".card");
    const index = focused ? focused.dataset.index : null;
    $("grid").replaceChildren();
    view.lines.clear();
    drawHeading();
    draw();
    if (index !== null) focusOn(index);
  }

  function focusOn(index) {
    const button = document.querySelector(`.card[data-index="${index}"] > button`);
    if (button) button.focus({ preventScroll: true });
  }

  function drawHeading() {
    const names = [];
    for (let card = 0; card < Math.min(view.per, view.shown.length); card += 1) {
      view.labels.forEach((label, column) => {
        const left = card * (view.wide + GAP) + column * (view.thumb + INNER);
        names.push(element("span", { title: label, style: { left: left + "px", width: view.thumb + "px" } }, label));
      });
    }
    $("heading").firstElementChild.replaceChildren(...names);
    $("heading").style.top = getComputedStyle(document.querySelector(".bar")).position === "sticky" ? document.querySelector(".bar").offsetHeight + "px" : "0";
  }

  function draw() {
    const top = $("grid").getBoundingClientRect().top;
    const first = Math.max(0, Math.floor((-top - innerHeight * 0.75) / view.step));
    const last = Math.min(Math.ceil(view.shown.length / view.per) - 1, Math.floor((-top + innerHeight * 1.75) / view.step));
    const focused = document.activeElement && document.activeElement.closest(".card");
    for (const [number, line] of view.lines) {
      if ((number < first || number > last) && !line.includes(focused)) {
        line.forEach((card) => card.remove());
        view.lines.delete(number);
      }
    }
    for (let number = first; number <= last; number += 1) {
      if (view.lines.has(number)) continue;
      const line = [];
      for (let index = number * view.per; index < Math.min((number + 1) * view.per, view.shown.length); index += 1) line.push(card(index));
      view.lines.set(number, line);
      // In the order of the list, so that the tab key visits the images in order.
      const after = [...view.lines.keys()].filter((other) => other > number).sort((one, other) => one - other)[0];
      const before = after === undefined ? null : view.lines.get(after)[0];
      line.forEach((each) => $("grid").insertBefore(each, before));
    }
  }

  function card(index) {
    const item = view.shown[index];
    const left = (index % view.per) * (view.wide + GAP), top = Math.floor(index / view.per) * view.step;
    const size = { width: view.thumb, height: view.high };
    const pictures = view.labels.map((label) => (Object.hasOwn(item.files, label)
      ? element("img", { ...size, src: item.files[label], alt: `${label} of ${item.name}`, decoding: "async", "data-label": label })
      : element("span", { class: "blank", style: { width: view.thumb + "px", height: view.high + "px" } })));
    const open = (event) => viewer.open(index, event.target.dataset.label);
    const score = state.sort && state.sort !== "name" ? state.sort : Object.keys(item.scores)[0];
    const made = element("div", { class: "card", role: "listitem", "data-index": index, "aria-setsize": view.shown.length, "aria-posinset": index + 1, style: { left: left + "px", top: top + "px", width: view.wide + "px" } },
      element("button", { type: "button", onclick: open }, ...pictures),
      element("p", {}, element("span", { class: "name", title: item.name }, item.name),
        score && score in item.scores ? element("span", { class: "score" }, `${score} ${metamer.number(item.scores[score])}`) : null));
    return made;
  }

  // --- controls -----------------------------------------------------------------------------------------------------

  function fillBar(metrics) {
    const order = (value) => { $("order").setAttribute("aria-pressed", String(value === "down")); $("order").firstElementChild.textContent = value === "down" ? "↓" : "↑"; };
    $("sort").append(element("option", { value: "" }, "order of the test"), element("option", { value: "name" }, "name"),
      ...metrics.map((name) => element("option", { value: name }, name)));
    $("sort").value = state.sort;
    if ($("sort").selectedIndex < 0) $("sort").value = state.sort = "";
    $("filter").value = state.filter;
    order(state.order);
    $("sort").addEventListener("change", () => { state.sort = $("sort").value; select(); });
    $("order").addEventListener("click", () => { state.order = state.order ? "" : "down"; order(state.order); select(); });
    $("filter").addEventListener("input", () => { state.filter = $("filter").value; select(); });
    $("clear").addEventListener("click", () => { $("filter").value = state.filter = ""; view.range = null; document.querySelectorAll(".bars button").forEach((bar) => bar.setAttribute("aria-pressed", "false")); select(); $("filter").focus(); });
    metamer.choice($("size"), [["small", "S", "Small"], ["medium", "M", "Medium"], ["large", "L", "Large"]], state.size, (size) => { state.size = size; remember(); layout(); });
    if (!(state.size in SIZES)) state.size = "medium";
    for (const label of metamer.page.labels) {
      const toggle = (event) => {
        if (view.hidden.has(label)) view.hidden.delete(label);
        else if (view.labels.length > 1) view.hidden.add(label);
        event.currentTarget.setAttribute("aria-pressed", String(!view.hidden.has(label)));
        layout();
      };
      $("columns").append(element("button", { type: "button", "aria-pressed": String(!view.hidden.has(label)), onclick: toggle }, label));
    }
  }

  // A printed page has no windows: all cards, one after another.
  function beforePrint() {
    const labels = () => element("p", { class: "labels" },
      ...view.labels.map((label) => element("span", { style: { width: view.thumb + "px" } }, label)));
    const cards = view.shown.slice(0, PRINTED).map((_, index) => { const made = card(index); made.prepend(labels()); return made; });
    $("grid").replaceChildren(...cards);
  }

  function start() {
    const { page, items } = metamer;
    $("facts").textContent = page.facts.join("  ·  ");
    for (const item of items) item.key = item.name.toLowerCase();
    const metrics = metamer.joinScores();
    const seen = new Set(items.flatMap((item) => Object.keys(item.files)));
    page.labels = page.labels.filter((label) => seen.has(label));
    const others = new Set(page.roles.others);
    view.hidden = new Set(page.labels.length > others.size ? page.labels.filter((label) => others.has(label)) : []);
    page.size = items.length ? items[0].size : [1, 1];
    metamer.drawMetrics($("metrics"), (metric, low, high) => { view.range = metric === null ? null : [metric, low, high]; select(); });
    viewer = new metamer.Viewer($("viewer"), {
      at: (position) => view.shown[position],
      count: () => view.shown.length,
      changed: (item) => { state.image = item ? item.name : ""; remember(); },
      left: (position) => {
        const top = $("grid").getBoundingClientRect().top + Math.floor(position / view.per) * view.step;
        if (top < 120 || top + view.step > innerHeight) scrollBy(0, top - innerHeight / 3);
        draw();
        focusOn(position);
      },
    });
    const wanted = state.image; // select() writes the address anew
    state.image = "";
    fillBar(metrics);
    select();
    const position = wanted ? view.shown.findIndex((item) => item.name === wanted) : -1;
    if (position >= 0) viewer.open(position);
    addEventListener("scroll", draw, { passive: true });
    addEventListener("resize", layout);
    $("scroller").addEventListener("scroll", () => { $("heading").firstElementChild.style.transform = `translateX(${-$("scroller").scrollLeft}px)`; }, { passive: true });
    addEventListener("beforeprint", beforePrint);
    addEventListener("afterprint", layout);
    addEventListener("keydown", (event) => {
      if (event.key === "/" && !$("viewer").open && !event.target.matches("input, select")) { event.preventDefault(); $("filter").focus(); }
    });
  }

  start();
}
