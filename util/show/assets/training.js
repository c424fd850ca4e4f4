// The page of a training: curves and pictures from the data files, which are read again while the run goes on.
"use strict";

{
  const element = metamer.element;
  const $ = (id) => document.getElementById(id);
  const DATA = ["points.js", "pictures.js", "samples.js"];
  const EVERY = 15000; // ms between two looks at the files
  const state = Object.assign({ live: "" }, metamer.state.read());
  const hidden = new Map(); // title of a chart -> names of the curves that are hidden
  let data, shown = 8, timer = null;
  const samples = new metamer.Samples();

  const empty = () => ({ points: [], evaluations: [], pictures: new Map(), samples: [] });
  // The data files of the first reading were called before this script; common.js has collected their calls.
  const receive = (calls) => {
    for (const [name, values] of calls) {
      if (name === "point") data.points.push(values[0]);
      else if (name === "evaluation") data.evaluations.push(values[0]);
      else if (name === "pictures") data.pictures.set(values[0], values[1]);
      else if (name === "sample") data.samples.push({ number: values[0], epoch: values[1], files: values[2], size: values[3], roles: values[4] });
    }
  };

  // Points of a resumed run come again, with the position at which it went on: later ones before it are dropped.
  const ascending = (points, x) => {
    const kept = [];
    for (const point of points) {
      while (kept.length && x(kept.at(-1)) >= x(point)) kept.pop();
      kept.push(point);
    }
    return kept;
  };
  const xOf = (point) => (typeof point.x === "number" ? (point.x > point.epoch ? point.x - 1 : point.x) : point.epoch);

  const series = (points, read) => {
    const found = new Map();
    for (const point of points) {
      for (const [name, value] of Object.entries(read(point) || {})) {
        if (value === null || value === undefined) continue;
        if (!found.has(name)) found.set(name, []);
        found.get(name).push([xOf(point), Number(value)]);
      }
    }
    return [...found].map(([name, values]) => ({ name, points: values }));
  };

  const draw = (place, title, curves, settings) => {
    if (!hidden.has(title)) hidden.set(title, new Set());
    metamer.chart(place, curves, { title, hidden: hidden.get(title), ...settings });
  };

  function drawLosses() {
    const settings = { smoothing: Number($("smoothing").value), raw: $("raw").checked, log: $("log").checked, height: innerWidth < 640 ? 240 : 320 };
    draw($("losses"), "", series(data.points, (point) => point.losses), settings);
  }

  function drawCharts() {
    const perImage = new Map(data.points.map((point) => [point.images, xOf(point)]));
    const seen = data.points.length ? data.points.at(-1).images / xOf(data.points.at(-1)) : NaN; // images of an epoch
    const metric = data.evaluations.map((each) => ({ ...each, x: perImage.get(each.images_seen) ?? each.images_seen / seen }));
    const charts = series(ascending(metric, xOf), (each) => each.metrics).map((curve) => [curve.name, [curve]]);
    charts.push(["learning rate", series(data.points, (point) => ({ rate: point.lr }))],
      ["seconds per image", series(data.points, (point) => ({ computing: point.time, loading: point.data }))],
      ["memory in MiB", series(data.points, (point) => ({ memory: point.memory }))]);
    $("charts").replaceChildren(...charts.filter(([, curves]) => curves.length).map(([title, curves]) => {
      const place = element("div");
      requestAnimationFrame(() => draw(place, title, curves, { height: 170 }));
      return place;
    }));
  }

  function drawRun() {
    const page = metamer.page;
    const table = (rows, heads) => element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, index) => (index ? element("td", {}, cell) : element("th", { scope: "row" }, cell)))))));
    const [go, test] = page.commands;
    $("run").replaceChildren(element("p", {}, "Go on with this run:"), element("pre", { tabindex: 0 }, go), element("p", {}, "Test it:"), element("pre", { tabindex: 0 }, test),
      page.changed.length ? element("div", { class: "scrolled" }, table(page.changed, ["changed option", "value", "default"])) : element("p", { class: "quiet" }, "All options have their defaults."),
      page.options.length ? element("details", {}, element("summary", {}, `all ${page.options.length} options`), element("div", { class: "scrolled" }, table(page.options, ["option", "value"]))) : null ?? "");
  }

  function drawAll() {
    data.points = ascending(data.points, xOf);
    const newest = data.points.at(-1);
    $("now").textContent = newest ? `epoch ${newest.epoch}, ${newest.images ?? newest.iters} images seen, ${metamer.number(newest.time + newest.data)} s per image` : "No losses yet.";
    drawLosses();
    drawCharts();
    metamer.drawEpochs(data.pictures, shown);
    samples.fill(data.samples);
  }

  // Scripts are the only files that a page from disk may read; the number keeps the browser from its cache.
  function refresh() {
    data = empty();
    metamer.calls.length = 0;
    let left = DATA.length;
    for (const name of DATA) {
      const ready = () => { script.remove(); left -= 1; if (!left) { receive(metamer.calls); drawAll(); } };
      const script = element("script", { src: `assets/${name}?${Date.now()}`, onload: ready, onerror: ready });
      document.head.append(script);
    }
  }

  function follow() {
    clearInterval(timer);
    timer = $("live").checked ? setInterval(refresh, EVERY) : null;
    metamer.state.write({ live: $("live").checked ? "1" : "" });
  }

  data = empty();
  receive(metamer.calls);
  $("facts").textContent = metamer.page.facts.join("  ·  ");
  $("live").checked = state.live === "1";
  for (const id of ["smoothing", "raw", "log"]) $(id).addEventListener("input", drawLosses);
  $("live").addEventListener("change", () => { follow(); if ($("live").checked) refresh(); });
  $("more").addEventListener("click", () => { shown += 20; metamer.drawEpochs(data.pictures, shown); });
  addEventListener("resize", () => { drawLosses(); drawCharts(); });
  $("smoothing").value = data.points.length < 30 ? 0.3 : data.points.length < 200 ? 0.7 : 0.9;
  drawRun();
  drawAll();
  follow();
}
