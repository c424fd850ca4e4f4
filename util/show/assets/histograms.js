// The tiles of the metrics: value, interval, histogram over the images, and where the number comes from.
"use strict";

metamer.BINS = 24;

// Copy the metrics of each image to its item; returns the names of the metrics that images have.
metamer.joinScores = () => {
  const images = (metamer.scores && metamer.scores.images) || {};
  const names = new Set();
  for (const item of metamer.items) {
    if (!Object.hasOwn(images, item.name)) continue;
    for (const [name, value] of Object.entries(images[item.name])) {
      item.scores[name] = Number(value);
      names.add(name);
    }
  }
  return [...names];
};

// chosen(metric, low, high) is called when a bar is pressed, chosen(null) when it is released.
metamer.drawMetrics = (place, chosen) => {
  const metrics = (metamer.scores && metamer.scores.metrics) || {};
  const tiles = Object.entries(metrics).map(([name, metric]) => metamer.metricTile(name, metric, chosen));
  const skipped = Object.entries((metamer.scores && metamer.scores.skipped) || {}).map(([name, reason]) =>
    metamer.element("p", { class: "quiet" }, `${name} was not computed: ${reason}`));
  place.replaceChildren(...tiles, ...skipped);
  place.hidden = !tiles.length && !skipped.length;
};

metamer.metricTile = (name, metric, chosen) => {
  const element = metamer.element, interval = metric.interval;
  const tile = element("article", { class: "tile" }, element("h2", {}, name),
    element("div", { class: "value" }, metamer.number(metric.value)));
  if (interval) tile.append(element("div", { class: "interval" }, `95 % interval ${metamer.number(interval[0])} to ${metamer.number(interval[1])}`));
  const values = metamer.items.map((item) => item.scores[name]).filter((value) => isFinite(value));
  if (values.length > 1) tile.append(...metamer.histogram(name, values, chosen));
  if (metric.provenance) {
    tile.append(element("details", {}, element("summary", {}, "how it was computed"), metamer.provenance(metric.provenance)));
  }
  return tile;
};

metamer.histogram = (name, values, chosen) => {
  const element = metamer.element;
  let low = Infinity, high = -Infinity;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  const width = (high - low) / metamer.BINS || 1;
  const counts = new Array(metamer.BINS).fill(0);
  for (const value of values) counts[Math.min(metamer.BINS - 1, Math.floor((value - low) / width))] += 1;
  const most = Math.max(...counts);
  const buttons = counts.map((count, number) => {
    const from = low + number * width, to = number === metamer.BINS - 1 ? high : from + width;
    const text = `${count} image${count === 1 ? "" : "s"} with ${name} from ${metamer.number(from)} to ${metamer.number(to)}`;
    const press = (event) => {
      const on = event.currentTarget.getAttribute("aria-pressed") !== "true";
      for (const other of document.querySelectorAll(".bars button")) other.setAttribute("aria-pressed", "false");
      event.currentTarget.setAttribute("aria-pressed", String(on));
      if (on) chosen(name, from, number === metamer.BINS - 1 ? Infinity : to);
      else chosen(null);
    };
    const share = count ? Math.max(4, (100 * count) / most) + "%" : "0%";
    return element("button", { type: "button", title: text, "aria-label": text, "aria-pressed": "false", disabled: !count, style: { "--share": share }, onclick: press });
  });
  return [element("div", { class: "bars" }, ...buttons),
    element("div", { class: "ends" }, element("span", {}, metamer.number(low)), element("span", {}, metamer.number(high)))];
};

// {"implementation": "ours", "feature_network": {"sha256": "..."}} as a list of terms.
metamer.provenance = (record) => {
  const element = metamer.element, list = element("dl");
  const add = (prefix, value) => {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      for (const [key, inner] of Object.entries(value)) add(prefix ? `${prefix} ${key}` : key, inner);
    } else {
      list.append(element("dt", {}, prefix.replaceAll("_", " ")), element("dd", {}, Array.isArray(value) ? value.join(", ") : String(value)));
    }
  };
  add("", record);
  return list;
};
