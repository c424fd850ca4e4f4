// Pictures by epoch: fixed samples with a slider over the epochs, and the newest pictures of each epoch.
"use strict";

metamer.Samples = class {
  constructor() {
    const get = (id) => document.getElementById(id);
    Object.assign(this, { section: get("samples"), slider: get("epoch"), name: get("epoch-name"), rows: get("sample-rows"), strip: get("strip"), playing: null, chosen: 1, last: -1 });
    this.slider.addEventListener("input", () => this.show());
    get("play").addEventListener("click", () => this.play(this.playing === null));
  }

  // samples: [{number, epoch, files, size, roles}], of which later ones replace earlier ones of the same epoch.
  fill(samples) {
    this.epochs = [...new Set(samples.map((sample) => sample.epoch))].sort((one, other) => one - other);
    this.numbers = [...new Set(samples.map((sample) => sample.number))].sort((one, other) => one - other);
    this.found = new Map(samples.map((sample) => [`${sample.number} ${sample.epoch}`, sample]));
    this.section.hidden = !samples.length;
    if (!samples.length) return;
    const atEnd = this.last < 0 || Number(this.slider.value) >= this.last;
    this.last = this.epochs.length - 1;
    this.slider.max = this.last;
    this.slider.disabled = this.last === 0;
    if (atEnd) this.slider.value = this.last;
    const element = metamer.element;
    this.rows.replaceChildren(...this.numbers.map((number) => {
      const sample = this.at(number, this.epochs[this.last]);
      const figures = Object.keys(sample.files).map((label) => element("span", { "data-label": label, class: "figure" },
        element("img", { width: sample.size[0], height: sample.size[1], alt: "" }), element("span", { class: "caption" }, label)));
      return element("button", { type: "button", class: "sample", "data-number": number, "aria-pressed": String(number === this.chosen),
        onclick: () => this.choose(number) }, element("span", {}, ...figures));
    }));
    this.choose(this.numbers.includes(this.chosen) ? this.chosen : this.numbers[0]);
    this.show();
  }

  // The sample in that epoch, or in the nearest one before.
  at(number, epoch) {
    const before = this.epochs.filter((other) => other <= epoch && this.found.has(`${number} ${other}`));
    return this.found.get(`${number} ${before.length ? before.at(-1) : this.epochs.find((other) => this.found.has(`${number} ${other}`))}`);
  }

  choose(number) {
    this.chosen = number;
    for (const row of this.rows.children) row.setAttribute("aria-pressed", String(Number(row.dataset.number) === number));
    const label = this.at(number, this.epochs[this.last]).roles.outputs[0];
    this.strip.replaceChildren(...this.epochs.map((epoch, index) => {
      const sample = this.at(number, epoch);
      return metamer.element("button", { type: "button", "data-index": index, onclick: () => { this.slider.value = index; this.show(); } },
        metamer.element("img", { src: sample.files[label], width: sample.size[0], height: sample.size[1], alt: `${label} of sample ${number}, epoch ${epoch}`, loading: "lazy", decoding: "async" }), String(epoch));
    }));
    this.show();
  }

  show() {
    const index = Number(this.slider.value), epoch = this.epochs[index];
    this.name.textContent = `${epoch}  of ${this.epochs[this.last]}`;
    this.slider.setAttribute("aria-valuetext", `epoch ${epoch}`);
    for (const row of this.rows.children) {
      const number = Number(row.dataset.number), sample = this.at(number, epoch);
      for (const figure of row.querySelectorAll(".figure")) {
        const image = figure.firstElementChild, label = figure.dataset.label, source = sample.files[label];
        if (source && image.getAttribute("src") !== source) image.src = source;
        image.alt = `${label} of sample ${number}, epoch ${epoch}`;
      }
    }
    for (const button of this.strip.children) {
      const on = Number(button.dataset.index) === index;
      button.setAttribute("aria-pressed", String(on));
      if (on) this.strip.scrollLeft = button.offsetLeft - this.strip.offsetLeft - this.strip.clientWidth / 2;
    }
  }

  play(on) {
    clearInterval(this.playing);
    this.playing = on ? setInterval(() => {
      this.slider.value = (Number(this.slider.value) + 1) % (this.last + 1);
      this.show();
    }, 350) : null;
    document.getElementById("play").textContent = on ? "Pause" : "Play";
  }
};

// The newest `count` epochs of {epoch: {label: address}}.
metamer.drawEpochs = (pictures, count) => {
  const element = metamer.element;
  const epochs = [...pictures.keys()].sort((one, other) => other - one);
  document.getElementById("by-epoch").hidden = !epochs.length;
  document.getElementById("more").hidden = epochs.length <= count;
  document.getElementById("epochs").replaceChildren(...epochs.slice(0, count).map((epoch) => element("section", {}, element("h3", {}, `epoch ${epoch}`),
    element("div", { class: "row", tabindex: 0, role: "group", "aria-label": `Pictures of epoch ${epoch}` }, ...Object.entries(pictures.get(epoch)).map(([label, source]) =>
      element("figure", {}, element("a", { href: source }, element("img", { src: source, alt: `${label}, epoch ${epoch}`, loading: "lazy", decoding: "async" })), element("figcaption", {}, label)))))));
};
