// One connection: what it is, what it subscribes to, and its messages for a minute.

import { get, post } from "./api.js";
import { ask } from "./dialog.js";
import { el, say, visibleLine } from "./dom.js";
import { bytes, seconds } from "./format.js";
import { Facts, named, repeat } from "./parts.js";
import { Table } from "./table.js";
import { Tail } from "./tail.js";
import { terminate } from "./terminate.js";
import { t } from "./text.js";

const AGAIN_MS = 2_000;

export const connection = { title: "connection", show };

function show(root, parameters, signal) {
  const id = parameters.get("socket_id") ?? "";
  const facts = new Facts(["app", "user", "age", "address", "agent", "waiting", "bytes_in", "bytes_out"]);
  let app = "";
  const subscriptions = new Table(t("subscriptions"), (name) => name, [["channel", "made", (name) => named(name, "channel", { app, name })]], t("no_subscriptions"));
  const trace = new Tail({
    label: t("trace"), none: t("trace_none"),
    row: ({ at, from, data }) => ({ at, title: t(from === "client" ? "from_client" : "to_client"), data }),
  });
  const ofUser = el("span");
  const begin = el("button", { type: "button", onclick: follow }, t("trace_start"));
  root.append(
    el("div", { class: "title" }, el("p", { class: "mono" }, visibleLine(id)),
      el("span", { class: "buttons" }, ofUser, el("button", { type: "button", class: "small grave", onclick: disconnect }, t("disconnect")))));

  repeat(root, AGAIN_MS, signal, async () => {
    const answer = await get("connection", { socket_id: id }, signal);
    app = answer.app;
    if (answer.user_id != null && !ofUser.firstChild) ofUser.append(terminate(app, answer.user_id));
    facts.update({
      ...answer, user: answer.user_id, age: seconds(answer.age_ms / 1000), waiting: bytes(answer.waiting_bytes), bytes_in: bytes(answer.bytes_in), bytes_out: bytes(answer.bytes_out),
    });
    subscriptions.update(answer.subscriptions);
  });
  root.append(
    facts.element, el("section", {}, el("div", { class: "title" }, el("h2", {}, t("trace")), begin), trace.element),
    el("section", {}, el("h2", {}, t("subscriptions")), subscriptions.element));

  async function follow() {
    begin.disabled = true;
    say(begin, t("tracing"));
    await trace.follow("trace", { socket_id: id }, signal, false);
    begin.disabled = false;
    say(begin, t("trace_start"));
  }

  function disconnect() {
    ask({
      title: t("disconnect"), question: t("disconnect_question"), verb: t("disconnect"), isGrave: true, facts: [[t("connection"), visibleLine(id)]],
      run: async () => (await post("disconnect", { socket_id: id }), t("disconnected")),
    });
  }
}
