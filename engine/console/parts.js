// Small pieces that several views are made of.

import { address } from "./api.js";
import { el, say, visible, visibleLine } from "./dom.js";
import { latest, listen } from "./live.js";
import { t } from "./text.js";

/** What went wrong, for people. */
export function whatFailed(error) {
  if (error.status === 0) return t("no_answer");
  const said = visible(error.message ?? "", 300);
  if (error.status === undefined) return said;
  return said ? `${said} (${error.status})` : t("refused_status", error.status);
}

/** The address of a view of this page. */
export function link(view, parameters) {
  return `#/${address(view, parameters)}`;
}

/** A name from the server that leads to a view. */
export function named(name, view, parameters) {
  return el("a", { href: link(view, parameters), class: "mono" }, visibleLine(name));
}

/** Something to choose or to write, under its name. */
export function field(name, control, hint = null) {
  return el("label", { class: "field" }, el("span", {}, name), control, hint && el("small", {}, hint));
}

/** Values under their names. */
export class Facts {
  constructor(names) {
    this.values = names.map((name) => [name, el("dd")]);
    this.element = el("dl", { class: "facts" }, this.values.map(([name, value]) => el("div", {}, el("dt", {}, t(name)), value)));
  }

  update(values) {
    for (const [name, element] of this.values) say(element, visibleLine(values[name] ?? "–"));
  }
}

export const problemLine = () => el("p", { class: "problem", role: "alert" });

/** Does something at once, again after each pause, and whenever the result is called; failures are shown there. */
export function repeat(root, ms, signal, work) {
  const problem = problemLine();
  root.append(problem);
  const once = async () => {
    const failure = await work().then(() => "", whatFailed);
    if (!signal.aborted) say(problem, failure);
  };
  const round = async () => {
    if (!document.hidden) await once();
    if (!signal.aborted) setTimeout(round, ms);
  };
  round();
  return once;
}

/** A table of what the stream says under a name. */
export function follow(root, name, table, signal) {
  const draw = () => table.update(latest.get(name) ?? []);
  root.append(table.element);
  listen(name, draw, signal);
  draw();
}

/** A button that copies; where the browser forbids it, it selects the text instead. */
export function copyButton(what, element) {
  const button = el("button", { type: "button", class: "small", "aria-label": t("copy_what", what), onclick: copy }, t("copy"));
  async function copy() {
    getSelection().selectAllChildren(element);
    const copied = await navigator.clipboard?.writeText(element.textContent).then(() => true, () => false) || document.execCommand("copy");
    say(button, t(copied ? "copied" : "selected"));
    setTimeout(() => say(button, t("copy")), 2_000);
  }
  return button;
}

let lastApp = "";

/** The apps of the server, one of them chosen: the wanted one, or the last. */
export function appSelect(wanted, onchange, signal) {
  const element = el("select", { onchange: () => { lastApp = element.value; onchange(); } });
  const fill = () => {
    const ids = (latest.get("apps") ?? []).map(({ id }) => String(id));
    const chosen = element.value || wanted || lastApp;
    if (chosen && !ids.includes(chosen)) ids.unshift(chosen);
    if (ids.join("\n") === [...element.options].map(({ value }) => value).join("\n")) return;
    element.replaceChildren(...ids.map((id) => el("option", { value: id, selected: id === chosen }, visibleLine(id, 80))));
    lastApp = element.value;
  };
  listen("apps", () => {
    const before = element.value;
    fill();
    if (element.value !== before) onchange();
  }, signal);
  fill();
  return element;
}
