// Endpoints of hooks, what waits for them, and what could not be delivered.

import { get, post } from "./api.js";
import { ask } from "./dialog.js";
import { el, say, visibleLine } from "./dom.js";
import { clock, exact, seconds } from "./format.js";
import { problemLine, repeat, whatFailed } from "./parts.js";
import { Table } from "./table.js";
import { t } from "./text.js";

const AGAIN_MS = 3_000;

export const hooks = { title: "hooks", show };

function show(root, _, signal) {
  const letters = new Letters(signal);
  const table = new Table(t("endpoints"), (row) => row.endpoint, [
    ["endpoint", "wide"],
    ["app", "name"],
    ["state", "plain", ({ disabled, reason }) => (disabled ? [t("off"), reason].filter(Boolean).join(": ") : t("on"))],
    ["backlog", "number"],
    ["backlog_age", "number", (row) => (row.backlog_age_ms ? seconds(row.backlog_age_ms / 1000) : null)],
    ["dead_letters", "number"],
    ["actions", "made", actions, renew],
  ], t("hooks_none"));
  const again = repeat(root, AGAIN_MS, signal, async () => table.update((await get("hooks", {}, signal)).endpoints));
  root.append(table.element, letters.element);

  function actions({ endpoint }) {
    const button = (text, onclick) => el("button", { type: "button", class: "small", "aria-label": `${text}: ${visibleLine(endpoint)}`, onclick }, text);
    return el("div", { class: "buttons" },
      button(t("look"), () => letters.open(endpoint)),
      button(t("replay"), () => act("replay", endpoint, ({ replayed } = {}) => t("replayed", exact(replayed)))),
      button(t("enable"), () => act("enable", endpoint, () => t("enabled"))));
  }

  function renew(buttons, { disabled, dead_letters }) {
    const [look, replay, enable] = buttons.children;
    look.disabled = replay.disabled = !dead_letters;
    enable.hidden = !disabled;
  }

  async function act(action, endpoint, outcome) {
    const done = await ask({
      title: t(action), question: t(`${action}_question`), verb: t(action), facts: [[t("endpoint"), visibleLine(endpoint)]],
      run: async () => outcome((await post(action, { endpoint })) ?? {}),
    });
    if (done) again();
  }
}

/** The dead letters of one endpoint. */
class Letters {
  constructor(signal) {
    this.signal = signal;
    this.title = el("h2", { tabindex: -1 });
    this.problem = problemLine();
    this.table = new Table(t("dead_letters"), ({ id }) => id, [
      ["time", "plain", ({ at }) => clock(at)],
      ["event", "name", ({ name }) => name],
      ["reason", "wide"],
      ["tries", "number"],
      ["data", "wide"],
    ], t("letters_none"));
    this.element = el("section", { hidden: true }, this.title, this.problem, this.table.element);
  }

  async open(endpoint) {
    this.element.hidden = false;
    say(this.title, t("letters_of", visibleLine(endpoint)));
    this.title.focus();
    try {
      this.table.update((await get("dead_letters", { endpoint }, this.signal)).letters);
      say(this.problem, "");
    } catch (error) {
      if (!this.signal.aborted) say(this.problem, whatFailed(error));
    }
  }
}
