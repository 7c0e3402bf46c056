// The stage: one frame at a time under a window, with or without its heatmap; mouse, touch and keys.
import { rest } from "./api.js";
import { frameOf, heatOf, paint, paintHeat } from "./frames.js";

const AHEAD = 4;
const A_MOMENT = 200; // milliseconds for which one image may stand under the number of the next
const byId = (id) => document.getElementById(id);

export class Viewer {
  constructor({ windows, colours, classes, onFrame }) {
    Object.assign(this, { windows, colours, classes, onFrame });
    this.frames = [];
    this.at = 0;
    this.window = null; // null: the file's own
    this.heatClass = "";
    this.isSilent = false; // whether the model does not answer for the image that is shown
    this.view = { zoom: 1, x: 0, y: 0 };
    this.stage = byId("stage");
    this.context = byId("canvas").getContext("2d");
    this.#listen();
    new ResizeObserver(() => this.draw()).observe(this.stage);
  }

  show(frames, at = 0) {
    this.frames = frames;
    byId("slice").max = Math.max(1, frames.length);
    byId("slice").disabled = frames.length < 2;
    this.view = { zoom: 1, x: 0, y: 0 };
    if (this.windowScale !== "hu") this.window = null; // numbers without a unit are each series' own
    this.turn(at);
  }

  async turn(to) {
    this.at = Math.min(this.frames.length - 1, Math.max(0, to));
    const entry = this.frames[this.at];
    if (!entry) return this.#say("This study has no images.");
    byId("slice").value = this.at + 1;
    byId("where").textContent = `${this.at + 1} of ${this.frames.length}`;
    byId("where-shown").textContent = `${this.at + 1} / ${this.frames.length}`;
    this.onFrame(entry);
    const coming = Promise.all([frameOf(entry), byId("heat").checked ? heatOf(entry).catch(() => null) : null]);
    const isHere = await Promise.race([coming.then(() => true, () => true), rest(A_MOMENT)]);
    if (!isHere && entry === this.frames[this.at] && entry !== this.shown) this.#clear("Loading.");
    try {
      const [frame, heat] = await coming;
      if (entry !== this.frames[this.at]) return;
      Object.assign(this, { shown: entry, frame, heat });
      this.#say("");
      this.painted = null;
      for (const option of byId("window").options) option.disabled = option.value in this.windows && !this.#fits(option.value);
      this.draw();
      for (let step = 1; step <= AHEAD; step += 1) {
        for (const next of [this.frames[this.at + step], this.frames[this.at - step]]) if (next) frameOf(next).catch(() => {});
      }
    } catch (fault) {
      if (entry !== this.frames[this.at]) return;
      this.#clear(fault.message);
    }
  }

  #clear(words) {
    this.shown = this.frame = null;
    this.draw();
    for (const id of ["window-shown", "zoom-shown", "heat-said"]) byId(id).textContent = "";
    byId("scale").hidden = true;
    this.#letters();
    this.#say(words);
  }

  draw() {
    const { stage, context } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [stage.clientWidth, stage.clientHeight];
    Object.assign(context.canvas, { width: width * ratio, height: height * ratio });
    if (!this.frame) return;
    const chosen = this.#chosenWindow();
    const [center, span] = chosen ?? this.frame.window;
    byId("window").value = chosen ? this.#nameOf(chosen) : "";
    const inverted = this.frame.inverted !== byId("invert").checked;
    const key = `${center}/${span}/${inverted}`;
    if (this.painted?.key !== key) this.painted = { key, canvas: paint(this.frame, [center, span], inverted) };
    const { columns, rows, aspect } = this.frame;
    const fit = Math.min(width / columns, height / (rows * aspect)) * this.view.zoom;
    const [w, h] = [columns * fit, rows * aspect * fit];
    const [x, y] = [(width - w) / 2 + this.view.x, (height - h) / 2 + this.view.y];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.painted.canvas, x, y, w, h);
    this.#drawHeat(x, y, w, h);
    const short = (value) => (span < 10 ? Number(value.toPrecision(3)) : Math.round(value));
    const unit = this.frame.scale === "hu" ? " HU" : "";
    byId("window-shown").textContent = this.frame.scale === "display" && !chosen ? "" : `W ${short(span)}  L ${short(center)}${unit}`;
    byId("zoom-shown").textContent = `${Math.round(fit * 100)} %`;
    this.#letters();
  }

  #drawHeat(x, y, w, h) {
    const said = byId("heat-said");
    const wanted = byId("heat").checked;
    byId("scale").hidden = !(wanted && this.heat?.shown);
    if (!wanted) said.textContent = "";
    else if (!this.heat) said.textContent = "There is no heatmap for this image.";
    else if (!this.heat.shown) said.textContent = this.heat.why;
    else {
      const label = byId("heat-class").value || this.heatClass;
      said.textContent = `${this.isSilent ? "The model does not answer. " : ""}Colour: what speaks for ${label} more than for the other classes, as a share of the strongest in this image.`;
      const { left, top, width, height } = this.heat.place;
      this.context.globalAlpha = byId("opacity").value / 100;
      this.context.drawImage(paintHeat(this.heat, label, this.colours), x + left * w, y + top * h, width * w, height * h);
      this.context.globalAlpha = 1;
    }
  }

  #letters() {
    const [right, down] = (this.frame?.toward ?? "").split("/");
    const other = (letters) => [...(letters ?? "")].map((letter) => "RLPAFH"["LRAPHF".indexOf(letter)] ?? "").join("");
    const words = { right, down, left: other(right), up: other(down) };
    for (const side of this.stage.querySelectorAll("[data-side]")) side.textContent = words[side.dataset.side] ?? "";
  }

  #say(words) { byId("stage-said").textContent = words; }

  setWindow(window) {
    this.window = window;
    this.windowScale = this.frame?.scale;
    this.draw();
  }

  // The window that was chosen, where the values that are shown are of the kind that it was chosen for.
  #chosenWindow() {
    return this.window && this.windowScale === this.frame.scale ? this.window : null;
  }

  #nameOf([center, width]) {
    return Object.keys(this.windows).find((name) => this.windows[name][0] === center && this.windows[name][1] === width) ?? "own";
  }

  // Windows of CT say nothing of what a DICOM file says is no CT; other formats cannot say. One in numbers is the model's own.
  #fits(name) {
    const scale = this.frame?.scale;
    return scale === "hu" || (scale === "raw" && (name.includes("/") || this.shown.image.format !== "dicom"));
  }

  bend(across, up) {
    if (!this.frame) return;
    const [center, width] = this.#chosenWindow() ?? this.frame.window;
    const least = this.frame.slope; // from one stored value to the next
    const step = Math.max(least, width / 300);
    this.setWindow([center - up * step, Math.max(least, width + across * step)]);
  }

  zoom(by, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
    const zoom = Math.min(16, Math.max(0.25, this.view.zoom * by));
    const real = zoom / this.view.zoom;
    const [cx, cy] = [x - this.stage.clientWidth / 2, y - this.stage.clientHeight / 2];
    this.view = { zoom, x: cx - (cx - this.view.x) * real, y: cy - (cy - this.view.y) * real };
    this.draw();
  }

  move(x, y) {
    this.view = { ...this.view, x: this.view.x + x, y: this.view.y + y };
    this.draw();
  }

  reset() {
    this.view = { zoom: 1, x: 0, y: 0 };
    byId("invert").checked = false;
    this.setWindow(null);
  }

  toggleHeat() {
    byId("heat").checked = !byId("heat").checked;
    this.turn(this.at);
  }

  #listen() {
    byId("slice").addEventListener("input", (event) => this.turn(event.target.value - 1));
    byId("heat").addEventListener("change", () => this.turn(this.at));
    for (const id of ["opacity", "invert", "heat-class"]) byId(id).addEventListener("input", () => this.draw());
    byId("window").addEventListener("change", (event) => this.setWindow(this.windows[event.target.value] ?? null));
    byId("reset").addEventListener("click", () => this.reset());
    this.stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey) return this.zoom(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
      this.wheeled = (this.wheeled ?? 0) + event.deltaY;
      if (Math.abs(this.wheeled) < 30) return undefined;
      this.turn(this.at + Math.sign(this.wheeled));
      this.wheeled = 0;
      return undefined;
    }, { passive: false });
    this.#listenToPointers();
  }

  #listenToPointers() {
    const down = new Map();
    this.stage.addEventListener("pointerdown", (event) => {
      this.stage.setPointerCapture(event.pointerId);
      down.set(event.pointerId, event);
      this.dragged = 0;
    });
    for (const name of ["pointerup", "pointercancel"]) this.stage.addEventListener(name, (event) => down.delete(event.pointerId));
    for (const name of ["auxclick", "contextmenu"]) this.stage.addEventListener(name, (event) => event.preventDefault());
    this.stage.addEventListener("pointermove", (event) => {
      const before = down.get(event.pointerId);
      if (!before) return;
      const [x, y] = [event.offsetX - before.offsetX, event.offsetY - before.offsetY];
      down.set(event.pointerId, event);
      if (down.size === 2) this.#pinch([...down.values()], before, event, x, y);
      else if (event.pointerType === "touch") {
        this.dragged += y;
        if (Math.abs(this.dragged) > 16) {
          this.turn(this.at + Math.sign(this.dragged));
          this.dragged = 0;
        }
      } else if (event.shiftKey || event.buttons & 4) this.move(x, y);
      else if (event.buttons & 2) this.zoom(Math.exp(-y / 150));
      else this.bend(x, -y);
    });
  }

  #pinch([one, other], before, event, x, y) {
    const fixed = event.pointerId === one.pointerId ? other : one;
    const apart = (a) => Math.hypot(a.offsetX - fixed.offsetX, a.offsetY - fixed.offsetY) || 1;
    this.view = { ...this.view, x: this.view.x + x / 2, y: this.view.y + y / 2 };
    this.zoom(apart(event) / apart(before), (event.offsetX + fixed.offsetX) / 2, (event.offsetY + fixed.offsetY) / 2);
  }

  key(event) {
    const steps = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, PageUp: -5, PageDown: 5, Home: -1e9, End: 1e9 };
    if (event.ctrlKey) {
      this.move({ ArrowRight: 40, ArrowLeft: -40 }[event.key] ?? 0, { ArrowDown: 40, ArrowUp: -40 }[event.key] ?? 0);
    } else if (event.shiftKey && event.key.startsWith("Arrow")) {
      this.bend({ ArrowRight: 10, ArrowLeft: -10 }[event.key] ?? 0, { ArrowUp: 10, ArrowDown: -10 }[event.key] ?? 0);
    } else if (event.key in steps) this.turn(this.at + steps[event.key]);
    else if (/^[1-9]$/.test(event.key)) {
      const name = Object.keys(this.windows)[event.key - 1];
      if (name && this.#fits(name)) this.setWindow(this.windows[name]);
    } else if (event.key === "h") this.toggleHeat();
    else if (event.key === "i") { byId("invert").checked = !byId("invert").checked; this.draw(); }
    else if (event.key === "r") this.reset();
    else if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(0.8);
    else return false;
    return true;
  }
}
