// Zoom and pan that several panes share: every pane shows the same part of its picture.
"use strict";

metamer.Zoom = class {
  // changed(zoom) is called after each change of the scale.
  constructor(changed) {
    this.changed = changed;
    this.panes = [];
    this.reset();
  }

  reset() {
    this.scale = 1;
    this.x = this.y = 0; // the shift of the middle, in widths and heights of a pane
    this.apply();
  }

  // Forget the panes of the picture before, but not the part that they showed.
  clear() { this.panes = []; }

  add(pane) {
    this.panes.push(pane);
    const fingers = new Map();
    pane.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomAt(pane, event.clientX, event.clientY, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)));
    }, { passive: false });
    pane.addEventListener("dblclick", (event) => {
      if (this.scale > 1) this.reset();
      else this.zoomAt(pane, event.clientX, event.clientY, 4);
    });
    pane.addEventListener("pointerdown", (event) => {
      if (event.target.closest(".handle") || event.button) return;
      pane.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, event);
      pane.classList.add("panning");
    });
    pane.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const others = [...fingers.values()].filter((other) => other.pointerId !== event.pointerId);
      fingers.set(event.pointerId, event);
      if (!others.length) return this.pan(pane, event.clientX - before.clientX, event.clientY - before.clientY);
      const distance = (one) => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY) || 1;
      this.zoomAt(pane, (event.clientX + others[0].clientX) / 2, (event.clientY + others[0].clientY) / 2, distance(event) / distance(before));
    });
    for (const name of ["pointerup", "pointercancel"]) {
      pane.addEventListener(name, (event) => {
        fingers.delete(event.pointerId);
        if (!fingers.size) pane.classList.remove("panning");
      });
    }
    this.apply();
  }

  pan(pane, right, down) {
    this.x += right / pane.clientWidth;
    this.y += down / pane.clientHeight;
    this.apply();
  }

  // Multiply the scale; what is at that point of the screen stays there.
  zoomAt(pane, clientX, clientY, factor) {
    const box = pane.getBoundingClientRect();
    const at = [(clientX - box.left) / box.width - 0.5, (clientY - box.top) / box.height - 0.5];
    const scale = Math.min(64, Math.max(1, this.scale * factor));
    this.x = at[0] - (at[0] - this.x) * (scale / this.scale);
    this.y = at[1] - (at[1] - this.y) * (scale / this.scale);
    this.scale = scale;
    this.apply();
  }

  zoomBy(factor) {
    const pane = this.panes[0];
    if (!pane) return;
    const box = pane.getBoundingClientRect();
    this.zoomAt(pane, box.left + box.width / 2, box.top + box.height / 2, factor);
  }

  apply() {
    const most = (this.scale - 1) / 2; // a picture is not pushed out of its pane
    this.x = Math.min(most, Math.max(-most, this.x));
    this.y = Math.min(most, Math.max(-most, this.y));
    for (const pane of this.panes) {
      for (const layer of pane.querySelectorAll(".zoomed")) {
        layer.style.transform = `translate(${this.x * 100}%, ${this.y * 100}%) scale(${this.scale})`;
      }
      const image = pane.querySelector("img");
      const shown = image && image.naturalWidth
        ? this.scale * Math.min(pane.clientWidth / image.naturalWidth, pane.clientHeight / image.naturalHeight) : 1;
      pane.classList.toggle("pixels", shown > 3);
    }
    this.changed(this);
  }
};
