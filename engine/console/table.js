// A table whose rows keep their elements while their values change, so that focus and selection stay.

import { el, say, visible, visibleLine } from "./dom.js";
import { exact } from "./format.js";
import { t } from "./text.js";

const ROWS_MAX = 500;
const CODE_UNITS_MAX = 2_048;

/** How a value is written, by the kind of its column. */
const WRITTEN = { plain: visibleLine, name: visibleLine, wide: (value) => visible(value, CODE_UNITS_MAX), number: exact };

export class Table {
  /**
   * `columns` are [text, kind, value of a row]: the value of the same name if none is given, an element that is made
   * once where the kind is `made`, with a fourth that renews it. `key` names what rows differ in.
   */
  constructor(caption, key, columns, none = t("none")) {
    Object.assign(this, { key, columns });
    this.rows = new Map();
    this.body = el("tbody", { role: "rowgroup" });
    this.none = el("p", { class: "none" }, none);
    this.more = el("p", { class: "none", hidden: true });
    // Where rows are shown as blocks, browsers no longer take them for rows unless they are told.
    this.table = el("table", { hidden: true, role: "table" }, el("caption", { class: "unseen" }, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, columns.map(([text, kind]) =>
        el("th", { scope: "col", role: "columnheader", class: kind }, t(text))))), this.body);
    this.element = el("div", { class: "table" }, this.table, this.none, this.more);
  }

  update(list) {
    const gone = new Set(this.rows.keys());
    let before = null;
    for (const item of list.slice(0, ROWS_MAX)) {
      const key = String(this.key(item));
      const row = this.rows.get(key) ?? this.#add(key, item);
      gone.delete(key);
      this.columns.forEach(([text, kind, value = (of) => of[text], renew], index) => {
        if (kind === "made") return renew?.(row.cells[index].firstChild, item);
        const shown = value(item);
        say(row.cells[index], shown == null ? "–" : WRITTEN[typeof shown === "string" && kind === "number" ? "plain" : kind](shown));
      });
      const place = before ? before.nextSibling : this.body.firstChild;
      if (place !== row) this.body.insertBefore(row, place);
      before = row;
    }
    for (const key of gone) {
      this.rows.get(key).remove();
      this.rows.delete(key);
    }
    this.table.hidden = this.rows.size === 0;
    this.none.hidden = this.rows.size > 0;
    this.more.hidden = list.length <= ROWS_MAX;
    say(this.more, t("rows_more", exact(list.length - ROWS_MAX)));
  }

  #add(key, item) {
    const row = el("tr", { role: "row" }, this.columns.map(([text, kind, value]) =>
      el("td", { role: "cell", class: kind, "data-label": t(text) }, kind === "made" && value(item))));
    this.rows.set(key, row);
    return row;
  }
}
