// An action: it asks first, is done on request, and shows what came of it.

import { el, say } from "./dom.js";
import { t } from "./text.js";
import { whatFailed } from "./parts.js";

/** Asks whether to do it; `run` does it and says what came of it. Resolves to whether it was done. */
export function ask({ title, question, facts = [], verb, run, isGrave = false }) {
  return new Promise((resolve) => {
    let done = false;
    const outcome = el("p", { role: "status", class: "outcome" });
    const cancel = el("button", { type: "button", onclick: () => dialog.close() }, t("cancel"));
    const act = el("button", { type: "button", class: isGrave ? "grave" : "main", onclick: begin }, verb);
    const heading = el("h2", { id: "dialog-title" }, title);
    const dialog = el("dialog", { "aria-labelledby": "dialog-title", onclose: end },
      heading, el("p", {}, question),
      facts.length > 0 && el("dl", {}, facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      outcome, el("div", { class: "buttons" }, cancel, act));

    async function begin() {
      act.disabled = true;
      outcome.className = "outcome";
      say(outcome, t("working"));
      try {
        say(outcome, (await run()) ?? t("done"));
        outcome.className = "outcome good";
        done = true;
        act.remove();
        say(cancel, t("close"));
        cancel.focus();
      } catch (error) {
        outcome.className = "outcome bad";
        say(outcome, whatFailed(error));
        act.disabled = false;
        act.focus();
      }
    }

    function end() {
      dialog.remove();
      resolve(done);
    }

    document.body.append(dialog);
    dialog.showModal();
    cancel.focus();
  });
}
