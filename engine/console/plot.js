// One quantity, or two, over the last ten minutes: a line, its scale, and exact numbers beside it.

import { el, say, svg } from "./dom.js";
import { clock } from "./format.js";
import { t } from "./text.js";

const SPAN_MS = 600_000;
const WIDTH = 600;
const HEIGHT = 100;
const GAP_MS = 3_500;

/** Draws `series`, a list of [name, value of a sample]; `axis` and `number` write values; those that are `scaled` fit in. */
export class Plot {
  constructor({ title, series, number, axis = number, base = 1000, scaled = series }) {
    Object.assign(this, { title, series, number, axis, base, scaled });
    this.lines = series.map((_, index) => svg("path", { class: `line line-${index + 1}` }));
    this.cursor = svg("line", { class: "cursor", y1: 0, y2: HEIGHT, visibility: "hidden" });
    this.drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      svg("path", { class: "grid", d: `M0 ${HEIGHT / 2}H${WIDTH}M0 0.5H${WIDTH}` }), ...this.lines, this.cursor);
    this.top = el("span", { class: "top" });
    this.values = series.map(() => el("b"));
    this.element = el("figure", { class: "plot" },
      el("figcaption", {}, el("h2", {}, title),
        el("span", { class: "values" }, series.map(([name], index) =>
          el("span", { class: `value value-${index + 1}` }, name && `${name} `, this.values[index])))),
      el("div", { class: "scaled" }, this.top, el("div", { class: "drawing" }, this.drawing)));
  }

  /** Draws the samples; the numbers are those of `chosen`. */
  draw(samples, chosen) {
    const end = samples.at(-1)?.at ?? Date.now();
    const x = (sample) => WIDTH - ((end - sample.at) / SPAN_MS) * WIDTH;
    const all = this.scaled.flatMap(([, value]) => samples.map(value)).filter((value) => Number.isFinite(value));
    const scale = ceiling(Math.max(0, ...all), this.base);
    const y = (value) => HEIGHT - (value / scale) * (HEIGHT - 3) - 1;
    this.series.forEach(([, value], index) => this.lines[index].setAttribute("d", path(samples, value, x, y)));
    say(this.top, this.axis(scale));
    this.series.forEach(([, value], index) => say(this.values[index], chosen ? this.number(value(chosen)) : "–"));
    const isPast = chosen && chosen !== samples.at(-1);
    this.cursor.setAttribute("visibility", isPast ? "visible" : "hidden");
    if (isPast) for (const end of ["x1", "x2"]) this.cursor.setAttribute(end, x(chosen).toFixed(1));
    const now = this.series.map(([name], index) => `${name} ${this.values[index].textContent}`.trim()).join(", ");
    const most = all.length ? this.number(Math.max(...all)) : "–";
    this.drawing.setAttribute("aria-label", t("plot_says", this.title, now, most));
  }
}

/** The least round number that is not below, in the units of that base. */
function ceiling(value, base) {
  if (value <= 0) return 1;
  const unit = base ** Math.max(0, Math.floor(Math.log(value) / Math.log(base)));
  const power = 10 ** Math.floor(Math.log10(value / unit));
  const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power * unit >= value * 0.999999);
  return step * power * unit;
}

function path(samples, value, x, y) {
  let out = "";
  let before = null;
  for (const sample of samples) {
    const here = value(sample);
    if (!Number.isFinite(here)) {
      before = null;
      continue;
    }
    const command = before === null || sample.at - before > GAP_MS ? "M" : "L";
    out += `${command}${x(sample).toFixed(1)} ${y(here).toFixed(1)}`;
    // A point alone is a line of no length, which round ends make visible.
    if (command === "M") out += "h0";
    before = sample.at;
  }
  return out;
}

/** A small line without scale, for a table. */
export class Spark {
  constructor(label) {
    this.line = svg("path", { class: "line line-1" });
    this.element = svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, this.line);
  }

  draw(samples, value, scale) {
    const end = samples.at(-1)?.at ?? 0;
    this.line.setAttribute("d", path(samples, value, (sample) => WIDTH - ((end - sample.at) / SPAN_MS) * WIDTH, (here) => HEIGHT - Math.min(1, here / scale) * (HEIGHT - 4) - 2));
  }
}

/** Several plots with one cursor, by pointer and by arrow keys. */
export class Plots {
  constructor(plots, samples) {
    Object.assign(this, { plots, samples, chosen: null });
    this.when = el("p", { class: "when", "aria-live": "polite" });
    this.element = el("div", { class: "plots", tabindex: 0, role: "group", "aria-label": t("plots_label") }, plots.map((plot) => plot.element));
    this.element.addEventListener("pointermove", (event) => this.#point(event));
    this.element.addEventListener("pointerleave", () => this.#choose(null));
    this.element.addEventListener("blur", () => this.#choose(null));
    this.element.addEventListener("keydown", (event) => this.#key(event));
  }

  draw() {
    if (this.chosen && !this.samples.includes(this.chosen)) this.chosen = null;
    const shown = this.chosen ?? this.samples.at(-1);
    for (const plot of this.plots) plot.draw(this.samples, shown);
    say(this.when, this.chosen ? t("at_time", clock(this.chosen.at)) : t("last_minutes"));
  }

  #point(event) {
    const drawing = event.target.closest?.(".drawing");
    if (!drawing || !this.samples.length) return this.#choose(null);
    const box = drawing.getBoundingClientRect();
    const end = this.samples.at(-1).at;
    const at = end - (1 - (event.clientX - box.left) / box.width) * SPAN_MS;
    const near = this.samples.reduce((best, sample) => (Math.abs(sample.at - at) < Math.abs(best.at - at) ? sample : best));
    this.#choose(near === this.samples.at(-1) ? null : near);
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30 }[event.key];
    if (event.key === "Escape" || event.key === "End") return this.#choose(null);
    if (!step || !this.samples.length) return;
    event.preventDefault();
    const last = this.samples.length - 1;
    const here = this.chosen ? this.samples.indexOf(this.chosen) : last;
    const next = Math.max(0, Math.min(last, here + step));
    this.#choose(next === last ? null : this.samples[next]);
  }

  #choose(sample) {
    if (this.chosen === sample) return;
    this.chosen = sample;
    this.draw();
  }
}
