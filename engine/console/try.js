// Lines to paste into clients and back ends, and a form that publishes.

import { get, post } from "./api.js";
import { ask } from "./dialog.js";
import { el, say, visibleLine } from "./dom.js";
import { appSelect, copyButton, field, problemLine, whatFailed } from "./parts.js";
import { snippets } from "./snippets.js";
import { t } from "./text.js";

export const tryIt = { title: "try", show };

function show(root, parameters, signal) {
  const problem = problemLine();
  const lines = el("div", { class: "snippets" });
  const app = appSelect(parameters.get("app"), draw, signal);
  const plain = { autocapitalize: "off", autocomplete: "off", spellcheck: "false" };
  const channel = el("input", { ...plain, required: true, value: parameters.get("channel") ?? "news", oninput: draw });
  const event = el("input", { ...plain, required: true, value: "hello" });
  const data = el("textarea", { spellcheck: "false", required: true });
  data.value = '{"text":"hi"}';
  let server = null;

  root.append(problem,
    el("form", { class: "form", onsubmit: publish },
      el("div", { class: "pair" }, field(t("app"), app), field(t("channel"), channel), field(t("event"), event)),
      field(t("data"), data, t("data_hint")), el("button", { class: "main" }, t("publish"))),
    el("section", {}, el("h2", {}, t("snippets")), el("p", { class: "none" }, t("snippets_hint")), lines));

  get("try", {}, signal).then((answer) => {
    server = answer;
    draw();
  }, (error) => signal.aborted || say(problem, whatFailed(error)));

  function draw() {
    const key = server?.apps.find(({ id }) => String(id) === app.value)?.key;
    if (!key) return lines.replaceChildren();
    const { host, port, tls } = server;
    lines.replaceChildren(...snippets({ host: host ?? location.hostname, port, tls, key, app: app.value, channel: channel.value }).map(([name, text]) => {
      const code = el("pre", { class: "code mono", tabindex: 0, role: "region", "aria-label": name }, text);
      return el("div", {}, el("div", { class: "title" }, el("h3", {}, name), copyButton(name, code)), code);
    }));
  }

  function publish(submitted) {
    submitted.preventDefault();
    const call = { app: app.value, channel: channel.value, name: event.value, data: data.value };
    ask({
      title: t("publish"), question: t("publish_question"), verb: t("publish"),
      facts: [[t("app"), visibleLine(call.app)], [t("channel"), visibleLine(call.channel)], [t("event"), visibleLine(call.name)]],
      run: async () => {
        await post("publish", call);
        return t("published");
      },
    });
  }
}
