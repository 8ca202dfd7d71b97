// Events or messages as they come, the newest first; it may be paused, and says what was left out.

import { stream } from "./api.js";
import { el, say, visible, visibleLine } from "./dom.js";
import { clock, exact } from "./format.js";
import { problemLine, whatFailed } from "./parts.js";
import { t } from "./text.js";

const SHOWN_MAX = 100;
const DATA_CODE_UNITS_MAX = 4_096;
const AGAIN_MS = 2_000;

export class Tail {
  /** `row` makes {at, title, about, data} of what a stream tells. */
  constructor({ label, none, row }) {
    Object.assign(this, { row, paused: false, held: [], count: 0, leftOut: 0 });
    this.list = el("ol", { class: "events", role: "log", "aria-live": "off", "aria-label": label, tabindex: 0 });
    this.none = el("p", { class: "none" }, none);
    this.said = el("span", { class: "faint" });
    this.problem = problemLine();
    this.pause = el("button", { type: "button", class: "small", "aria-pressed": "false", onclick: () => this.#pause() }, t("pause"));
    const clear = el("button", { type: "button", class: "small", onclick: () => this.#clear() }, t("clear"));
    this.element = el("div", {}, el("div", { class: "title" }, this.said, el("span", { class: "preferences" }, this.pause, clear)),
      this.problem, this.none, this.list);
    this.#count();
  }

  /** Follows the stream; with `again` it is opened anew whenever it ends. Resolves when it has ended. */
  async follow(path, parameters, signal, again) {
    for (;;) {
      try {
        await stream(path, parameters, signal, (name, data) => {
          say(this.problem, "");
          if (name) this.#take(name, data);
        });
      } catch (error) {
        if (signal.aborted) return;
        say(this.problem, whatFailed(error));
        if (error.status >= 400 && error.status < 500 && error.status !== 429) return;
      }
      if (!again || signal.aborted) return;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      if (signal.aborted) return;
    }
  }

  #take(name, data) {
    if (typeof data?.left_out === "number") this.leftOut += data.left_out;
    // The rest says that the stream is open, or why it ends.
    if (["event", "message"].includes(name)) {
      const row = this.row(data);
      this.count += 1;
      if (this.paused) {
        this.held.push(row);
        if (this.held.length > SHOWN_MAX) this.held.shift();
      } else this.#add(row);
    }
    this.#count();
  }

  #add({ at, title, about, data }) {
    this.none.hidden = true;
    this.list.prepend(el("li", {}, el("time", {}, clock(at)),
      el("span", {}, el("b", { class: "mono" }, visibleLine(title)), about && el("span", { class: "faint" }, ` ${visibleLine(about)}`)),
      el("pre", {}, visible(data, DATA_CODE_UNITS_MAX))));
    while (this.list.childElementCount > SHOWN_MAX) this.list.lastElementChild.remove();
  }

  #pause() {
    this.paused = !this.paused;
    this.pause.setAttribute("aria-pressed", String(this.paused));
    say(this.pause, t(this.paused ? "resume" : "pause"));
    if (!this.paused) for (const row of this.held.splice(0)) this.#add(row);
  }

  #clear() {
    this.list.replaceChildren();
    this.held.length = 0;
    this.none.hidden = false;
  }

  #count() {
    say(this.said, t(this.leftOut ? "tail_left_out" : "tail_count", exact(this.count), exact(this.leftOut)));
  }
}
