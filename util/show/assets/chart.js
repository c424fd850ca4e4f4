// Line charts as inline SVG: raw and smoothed curves, linear or logarithmic, values at the cursor.
"use strict";

{
  const SVG = "http://www.w3.org/2000/svg";
  const WIDE = 2000; // points of a curve that is drawn: more are put together in groups
  const node = (tag, attributes, text) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // Colours that differ in lightness as well as in hue, and are read on light and on dark paper.
  metamer.colour = (number) => ["#2f7bd6", "#d9660a", "#2a9d5c", "#c2407e", "#8a6fd1", "#a8861c", "#1aa0a8", "#c94f4f", "#7a8a99", "#5a9c20"][number % 10];

  // Exponential smoothing that starts at the first value instead of at 0.
  metamer.smooth = (values, weight) => {
    let sum = 0, total = 0;
    return values.map((value) => {
      if (!isFinite(value)) return NaN;
      sum = weight * sum + (1 - weight) * value;
      total = weight * total + (1 - weight);
      return sum / total;
    });
  };

  // Means of neighbours, so that no more than WIDE points are drawn.
  const thinned = (points) => {
    const group = Math.ceil(points.length / WIDE);
    if (group <= 1) return points;
    const means = [];
    for (let start = 0; start < points.length; start += group) {
      const some = points.slice(start, start + group);
      means.push([some[some.length - 1][0], some.reduce((sum, point) => sum + point[1], 0) / some.length]);
    }
    return means;
  };

  const nice = (low, high, count) => {
    const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
    const ticks = [];
    for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-6; tick += step) ticks.push(Math.abs(tick) < step * 1e-6 ? 0 : tick);
    return ticks;
  };
  const decades = (low, high) => {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      for (const factor of [1, 2, 5]) if (factor * 10 ** power >= low && factor * 10 ** power <= high) ticks.push(factor * 10 ** power);
    }
    const kept = ticks.length > 8 ? ticks.filter((tick) => Number.isInteger(Math.round(Math.log10(tick) * 1e6) / 1e6)) : ticks;
    return kept.length > 1 ? kept : nice(low, high, 4);
  };
  const short = (value) => (Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(1).replace(".0e", "e") : String(Number(value.toPrecision(3))));

  // series: [{name, points: [[x, y], ...], colour}]; settings: {title, smoothing, raw, log, height, hidden: Set, xName}
  metamer.chart = (place, series, settings) => {
    const { title = "", smoothing = 0, raw = true, log = false, height = 240, xName = "epochs", hidden = new Set() } = settings;
    const width = Math.max(280, place.clientWidth || 600), left = 48, right = 8, top = 8, bottom = 30;
    const usable = (y) => isFinite(y) && (!log || y > 0);
    const curves = series.map((each, number) => {
      const points = each.points.filter(([x, y]) => isFinite(x) && usable(y));
      const smooth = metamer.smooth(points.map((point) => point[1]), smoothing);
      return { ...each, points, colour: each.colour || metamer.colour(number), smoothed: points.map(([x], index) => [x, smooth[index]]) };
    });
    const drawn = curves.filter((curve) => !hidden.has(curve.name) && curve.points.length);
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const curve of drawn) {
      for (const [x] of curve.points) { x0 = Math.min(x0, x); x1 = Math.max(x1, x); }
      const inView = smoothing && !raw ? curve.smoothed : curve.points;
      for (const [, y] of inView) { y0 = Math.min(y0, y); y1 = Math.max(y1, y); }
    }
    if (!drawn.length) [x0, x1, y0, y1] = [0, 1, log ? 0.1 : 0, 1];
    if (x0 === x1) [x0, x1] = [Math.max(0, x0 - 0.5), x1 + 0.5];
    if (y0 === y1) [y0, y1] = log ? [y0 / 2, y1 * 2] : [y0 - Math.abs(y0) / 10 - 1e-9, y1 + Math.abs(y1) / 10 + 1e-9];
    const scaleX = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
    const level = log ? Math.log : (y) => y;
    const scaleY = (y) => height - bottom - ((level(y) - level(y0)) / (level(y1) - level(y0))) * (height - top - bottom);
    const path = (points) => "M" + thinned(points).map(([x, y]) => scaleX(x).toFixed(1) + " " + scaleY(y).toFixed(1)).join("L");

    const summary = drawn.map((curve) => `${curve.name} ${metamer.number(curve.points.at(-1)[1])}`).join(", ");
    const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title || "curves"}; newest values: ${summary || "none"}` });
    for (const tick of log ? decades(y0, y1) : nice(y0, y1, 5)) {
      svg.append(node("line", { class: "gridline", x1: left, x2: width - right, y1: scaleY(tick), y2: scaleY(tick) }),
        node("text", { x: left - 6, y: scaleY(tick) + 4, "text-anchor": "end" }, short(tick)));
    }
    for (const tick of nice(x0, x1, width > 500 ? 8 : 4)) svg.append(node("text", { x: scaleX(tick), y: height - bottom + 15, "text-anchor": "middle" }, short(tick)));
    svg.append(node("text", { x: width - right, y: height - 2, "text-anchor": "end" }, xName));
    for (const curve of drawn) {
      const dash = curve.dash ? { "stroke-dasharray": curve.dash } : {};
      if (curve.points.length === 1) svg.append(node("circle", { cx: scaleX(curve.points[0][0]), cy: scaleY(curve.points[0][1]), r: 3, fill: curve.colour }));
      else {
        if (smoothing && raw) svg.append(node("path", { class: "raw", d: path(curve.points), stroke: curve.colour, ...dash }));
        svg.append(node("path", { class: "smooth", d: path(smoothing ? curve.smoothed : curve.points), stroke: curve.colour, ...dash }));
      }
    }
    const cursor = node("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
    svg.append(cursor);

    const legend = metamer.element("div", { class: "legend" });
    const values = curves.map((curve) => {
      const value = metamer.element("b", {}, curve.points.length ? metamer.number(curve.points.at(-1)[1]) : "–");
      legend.append(metamer.element("button", { type: "button", title: "Show or hide this curve", "aria-pressed": String(!hidden.has(curve.name)), style: { "--color": curve.colour },
        onclick: () => { if (!hidden.delete(curve.name)) hidden.add(curve.name); metamer.chart(place, series, { ...settings, hidden }); } }, curve.name, value));
      return value;
    });
    const where = metamer.element("span", { class: "quiet" });
    const show = (x) => {
      cursor.setAttribute("visibility", x === null ? "hidden" : "visible");
      where.textContent = x === null ? "" : `at ${short(x)}`;
      if (x !== null) { cursor.setAttribute("x1", scaleX(x)); cursor.setAttribute("x2", scaleX(x)); }
      curves.forEach((curve, number) => {
        if (!curve.points.length) return;
        let index = curve.points.length - 1;
        if (x !== null) while (index > 0 && curve.points[index][0] > x) index -= 1;
        values[number].textContent = metamer.number((smoothing && x !== null ? curve.smoothed : curve.points)[index][1]);
      });
    };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const share = (((event.clientX - box.left) / box.width) * width - left) / (width - left - right);
      show(Math.min(x1, Math.max(x0, x0 + share * (x1 - x0))));
    });
    svg.addEventListener("pointerleave", () => show(null));
    place.classList.add("chart");
    place.replaceChildren(...(title ? [metamer.element("h3", {}, title, " ", where)] : []), svg, legend);
    if (!title) legend.append(where);
  };
}
