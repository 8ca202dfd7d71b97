// One channel: how many and who subscribes, what it remembers, and its events as they come.

import { get, post } from "./api.js";
import { ask } from "./dialog.js";
import { el, visible, visibleLine } from "./dom.js";
import { bytes, clock, exact } from "./format.js";
import { Facts, link, problemLine, repeat } from "./parts.js";
import { Table } from "./table.js";
import { Tail } from "./tail.js";
import { t } from "./text.js";

const AGAIN_MS = 3_000;

export const channel = { title: "channel", show };

function show(root, parameters, signal) {
  const app = parameters.get("app") ?? "";
  const name = parameters.get("name") ?? "";
  const problem = problemLine();
  const facts = new Facts(["app", "subscriptions", "users"]);
  const members = new Table(t("members"), ({ id }) => id, [
    ["user", "name", ({ id }) => id],
    ["info", "wide", ({ info }) => info && JSON.stringify(info)],
    ["actions", "made", ({ id }) => terminateButton(app, id)],
  ], t("no_members"));
  const ofMembers = el("section", { hidden: !name.startsWith("presence-") }, el("h2", {}, t("members")), members.element);
  const cached = el("pre", { class: "code" });
  const cachedName = el("p", { class: "mono" });
  const ofCache = el("section", { hidden: true }, el("h2", {}, t("cached")), cachedName, cached);
  const tail = new Tail({
    label: t("tail"), none: t("tail_none"),
    row: (_, { at, event, data, bytes: size, user_id: user }) => ({ at, title: event, about: [size > 4_096 && bytes(size), user].filter(Boolean).join(" "), data }),
  });
  root.append(
    el("div", { class: "title" }, el("p", { class: "mono subject" }, visibleLine(name)),
      el("a", { href: link("try", { app, channel: name }) }, t("publish"))),
    problem, facts.element,
    el("section", {}, el("h2", {}, t("tail")), tail.element), ofMembers, ofCache);
  tail.follow("tail", { app, name }, signal, true);

  repeat(AGAIN_MS, signal, problem, async () => {
    const answer = await get("channel", { app, name }, signal);
    facts.update({ app, subscriptions: exact(answer.subscriptions), users: exact(answer.users) });
    members.update(answer.members ?? []);
    ofCache.hidden = !answer.cached;
    if (!answer.cached) return;
    const { event, data, at } = answer.cached;
    cachedName.textContent = `${visibleLine(event)} ${at ? clock(at) : ""}`;
    cached.textContent = visible(typeof data === "string" ? data : JSON.stringify(data), 4_096);
  });
}

/** Closes all connections of a user, who may be signed in without being a member. */
function terminateButton(app, user) {
  const act = () => ask({
    title: t("terminate"), question: t("terminate_question"), verb: t("terminate"), isGrave: true,
    facts: [[t("app"), visibleLine(app)], [t("user"), visibleLine(user)]],
    run: async () => {
      await post("terminate", { app, user });
      return t("terminated");
    },
  });
  return el("button", { type: "button", class: "small grave", "aria-label": `${t("terminate")}: ${visibleLine(user)}`, onclick: act }, t("terminate"));
}
