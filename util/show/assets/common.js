// What the scripts of all pages share. Data arrive as calls, such as metamer.item(...), from files that are scripts
// themselves: a page that was opened from disk may not read other files.
"use strict";

const metamer = {
  page: {}, // what page(...) was given: the run, its labels, their roles
  items: [], // {name, files: {label: address}, size: [width, height], scores: {metric: number}}
  scores: null, // the content of metrics.json

  describe(page) { metamer.page = page; },
  item(name, files, size) { metamer.items.push({ name, files, size, scores: {} }); },
  metrics(scores) { metamer.scores = scores; },

  calls: [], // of the data files of a training: [name, arguments]
  point(...values) { metamer.calls.push(["point", values]); },
  evaluation(...values) { metamer.calls.push(["evaluation", values]); },
  pictures(...values) { metamer.calls.push(["pictures", values]); },
  sample(...values) { metamer.calls.push(["sample", values]); },

  // An element with attributes and children. Texts become text nodes, never markup.
  element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name === "style") for (const [key, text] of Object.entries(value)) made.style.setProperty(key, text);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  },

  // A number with about four digits.
  number(value) {
    if (typeof value !== "number" || !isFinite(value)) return String(value);
    const size = Math.abs(value);
    if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(2);
    return value.toFixed(size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4);
  },

  // A group of buttons of which one is pressed; chosen(value) is called for each click.
  choice(parent, values, current, chosen) {
    const buttons = values.map(([value, label, title]) => {
      const press = () => { show(value); chosen(value); };
      return metamer.element("button", { type: "button", title, "data-value": value, onclick: press }, label);
    });
    const show = (value) => {
      for (const each of buttons) each.setAttribute("aria-pressed", String(each.dataset.value === String(value)));
    };
    parent.append(...buttons);
    show(current);
    return show;
  },

  // The state of a page in its address, so that a link shows the same: #filter=horse&sort=psnr
  state: {
    read() { return Object.fromEntries(new URLSearchParams(location.hash.slice(1))); },
    write(values) {
      const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
      const words = new URLSearchParams(kept).toString();
      history.replaceState(null, "", words ? "#" + words : location.pathname + location.search);
    },
  },
};
