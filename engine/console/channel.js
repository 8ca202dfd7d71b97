// One channel: how many and who subscribes, what it remembers, and its events as they come.

import { get } from "./api.js";
import { el, visible, visibleLine } from "./dom.js";
import { bytes, clock, exact } from "./format.js";
import { Facts, link, repeat } from "./parts.js";
import { Table } from "./table.js";
import { Tail } from "./tail.js";
import { terminate } from "./terminate.js";
import { t } from "./text.js";

const AGAIN_MS = 3_000;

export const channel = { title: "channel", show };

function show(root, parameters, signal) {
  const app = parameters.get("app") ?? "";
  const name = parameters.get("name") ?? "";
  const facts = new Facts(["app", "subscriptions", "users"]);
  const members = new Table(t("members"), ({ id }) => id, [
    ["user", "name", ({ id }) => id],
    ["info", "wide"],
    ["actions", "made", ({ id }) => terminate(app, id)],
  ], t("no_members"));
  const ofMembers = el("section", { hidden: !name.startsWith("presence-") }, el("h2", {}, t("members")), members.element);
  const cached = el("pre", { class: "code" });
  const cachedName = el("p", { class: "mono" });
  const ofCache = el("section", { hidden: true }, el("h2", {}, t("cached")), cachedName, cached);
  const tail = new Tail({
    label: t("tail"), none: t("tail_none"),
    row: ({ at, event, data, bytes: size, user_id: user }) => ({ at, title: event, about: [size > 4_096 && bytes(size), user].filter(Boolean).join(" "), data }),
  });
  root.append(el("div", { class: "title" }, el("p", { class: "mono" }, visibleLine(name)), el("a", { href: link("try", { app, channel: name }) }, t("publish"))));
  repeat(root, AGAIN_MS, signal, async () => {
    const answer = await get("channel", { app, name }, signal);
    facts.update({ app, subscriptions: exact(answer.subscriptions), users: exact(answer.users) });
    members.update(answer.members ?? []);
    ofCache.hidden = !answer.cached;
    if (!answer.cached) return;
    const { event, data, at } = answer.cached;
    cachedName.textContent = `${visibleLine(event)} ${at ? clock(at) : ""}`;
    cached.textContent = visible(data, 4_096);
  });
  root.append(facts.element, el("section", {}, el("h2", {}, t("tail")), tail.element), ofMembers, ofCache);
  tail.follow("tail", { app, name }, signal, true);
}
