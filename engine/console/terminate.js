// The button that closes all connections of a user, who may be signed in without being a member of anything.

import { post } from "./api.js";
import { ask } from "./dialog.js";
import { el, visibleLine } from "./dom.js";
import { t } from "./text.js";

export function terminate(app, user) {
  const title = t("terminate");
  const shown = visibleLine(user);
  const onclick = () => ask({
    title, question: t("terminate_question"), verb: title, isGrave: true, facts: [[t("app"), visibleLine(app)], [t("user"), shown]],
    run: async () => (await post("terminate", { app, user }), t("terminated")),
  });
  return el("button", { type: "button", class: "small grave", "aria-label": `${title}: ${shown}`, onclick }, title);
}
