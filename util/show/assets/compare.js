// The page that compares runs: metrics, loss curves on one axis, the same inputs side by side, options that differ.
"use strict";

{
  const element = metamer.element;
  const $ = (selector) => document.querySelector(selector);
  const { runs, rows, metrics, options } = metamer.page;
  const hidden = new Set();
  let shown = 20;

  const table = (heads, body) => element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))), element("tbody", {}, ...body));
  const fill = (selector, content) => {
    $(selector).hidden = false;
    $(selector + " .scrolled").replaceChildren(content);
  };

  function drawMetrics() {
    const body = metrics.map(({ name, values, intervals }) => element("tr", {}, element("th", { scope: "row" }, name), ...values.map((value, number) => {
      if (value === null) return element("td", {}, "–");
      const first = values[0], change = number && first !== null ? value - first : null;
      const notes = [intervals[number] ? `${metamer.number(intervals[number][0])} to ${metamer.number(intervals[number][1])}` : null,
        change === null ? null : `${change < 0 ? "−" : "+"}${metamer.number(Math.abs(change))} against ${runs[0].name}`].filter(Boolean);
      return element("td", {}, metamer.number(value), ...notes.flatMap((note) => [element("br"), element("small", {}, note)]));
    })));
    if (metrics.length) fill("#metrics", table(["metric", ...runs.map((run) => run.name)], body));
  }

  function drawLosses() {
    const names = [...new Set(runs.flatMap((run) => Object.keys(run.losses)))];
    $("#losses").hidden = !names.length;
    const settings = { smoothing: Number($("#smoothing").value), raw: $("#raw").checked, log: $("#log").checked, height: 190, hidden };
    $("#charts").replaceChildren(...names.map((name) => {
      const place = element("div");
      const curves = runs.map((run, number) => ({ name: run.name, points: run.losses[name] || [], colour: metamer.colour(number) }));
      requestAnimationFrame(() => metamer.chart(place, curves, { title: name, ...settings }));
      return place;
    }));
  }

  function drawPictures() {
    const picture = (source, alt) => (source ? element("a", { href: source }, element("img", { src: source, alt, loading: "lazy", decoding: "async" })) : "–");
    const body = rows.slice(0, shown).map((row) => element("tr", {}, element("th", { scope: "row" }, row.name),
      element("td", {}, picture(row.input, `input ${row.name}`)),
      ...row.outputs.map((source, number) => element("td", {}, picture(source, `${runs[number].name}: ${row.name}`))),
      ...(rows.some((each) => each.truth) ? [element("td", {}, picture(row.truth, `truth of ${row.name}`))] : [])));
    const heads = ["image", "input", ...runs.map((run) => run.name), ...(rows.some((each) => each.truth) ? ["truth"] : [])];
    if (rows.length) fill("#pictures", table(heads, body));
    $("#more").hidden = shown >= rows.length;
  }

  function drawOptions() {
    const body = options.map(({ name, values }) => element("tr", {}, element("th", { scope: "row" }, name), ...values.map((value) => element("td", {}, value))));
    fill("#options", options.length ? table(["option", ...runs.map((run) => run.name)], body) : element("p", { class: "quiet" }, "None: the runs have the same options."));
  }

  $("#runs").append(...runs.map((run, number) => element("span", { style: { "--color": metamer.colour(number) } }, run.name)));
  for (const id of ["smoothing", "raw", "log"]) $("#" + id).addEventListener("input", drawLosses);
  $("#more").addEventListener("click", () => { shown += 50; drawPictures(); });
  addEventListener("resize", drawLosses);
  drawMetrics();
  drawLosses();
  drawPictures();
  drawOptions();
}
