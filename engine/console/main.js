// The frame of the page: sign-in, ways between the views, and what is always seen.

import { post, whenSignedOut } from "./api.js";
import { el, say } from "./dom.js";
import { keep, kept } from "./kept.js";
import * as live from "./live.js";
import { link } from "./parts.js";
import { signInForm } from "./sign_in.js";
import { choose, language, t } from "./text.js";
import { apps } from "./apps.js";
import { channel } from "./channel.js";
import { channels } from "./channels.js";
import { connection } from "./connection.js";
import { hooks } from "./hooks.js";
import { nodes } from "./nodes.js";
import { overview } from "./overview.js";
import { problems } from "./problems.js";
import { settings } from "./settings.js";
import { slow } from "./slow.js";
import { tryIt } from "./try.js";

/** Views by address: those of the second list stand in no menu. */
const MENU = { overview, apps, channels, slow, problems, hooks, nodes, settings, try: tryIt };
const OTHERS = { channel: [channel, "channels"], connection: [connection, "slow"] };
const SCHEMES = ["auto", "light", "dark"];

let scheme = kept("scheme", SCHEMES) ?? "auto";
let view = new AbortController();
/** `unknown` until the server has answered, then `in` or `out`. */
let signed = "unknown";

whenSignedOut(() => {
  if (signed !== "out") signedOut(signed === "in" ? t("session_ended") : "");
});
live.listen("status", () => {
  showState();
  if (signed === "unknown" && ["live", "lost"].includes(live.status.state)) enter();
});
addEventListener("hashchange", route);
paint();
route();

/** A token in the address signs in, and is gone from the address before anything else. */
function route() {
  const given = /^#token=(.+)$/.exec(location.hash);
  if (given) {
    history.replaceState(null, "", location.pathname + location.search);
    signIn(decoded(given[1]));
  } else if (signed === "in") show();
  else if (signed === "unknown") live.start();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function signIn(token) {
  live.stop();
  try {
    await post("sign-in", { token });
  } catch (error) {
    return signedOut(error.status === 429 ? t("too_many_tries") : error.status === 0 ? t("no_answer") : t("token_refused"));
  }
  live.start();
  enter();
}

function enter() {
  signed = "in";
  show();
}

async function signOut() {
  await post("sign-out").catch(() => {});
  signedOut(t("signed_out"));
}

function signedOut(why) {
  signed = "out";
  live.stop();
  view.abort();
  document.title = t("sign_in");
  document.body.replaceChildren(signInForm(why, signIn, preferences()));
  document.querySelector("#sign-in input").focus();
}

function show() {
  const [, name = "overview", query = ""] = /^#\/([a-z]+)(?:\?(.*))?$/.exec(location.hash) ?? [];
  const [shown, menu] = OTHERS[name] ?? [MENU[name] ?? overview, MENU[name] ? name : "overview"];
  view.abort();
  view = new AbortController();
  const isFirst = !document.querySelector("#page");
  if (isFirst) document.body.replaceChildren(...frame());
  showState();
  for (const way of document.querySelectorAll("#ways a")) {
    if (way.getAttribute("href") === link(menu)) way.setAttribute("aria-current", "page");
    else way.removeAttribute("aria-current");
  }
  closeMenu();
  const title = el("h1", { tabindex: -1 }, t(shown.title));
  const main = document.querySelector("#main");
  main.dataset.view = name;
  main.replaceChildren(title);
  document.title = `${t(shown.title)} · Corecast`;
  shown.show(main, new URLSearchParams(query), view.signal);
  scrollTo(0, 0);
  if (!isFirst) title.focus({ preventScroll: true });
}

function frame() {
  const ways = el("nav", { id: "ways", "aria-label": t("views") }, el("ul", {}, Object.entries(MENU).map(([name, { title }]) =>
    el("li", {}, el("a", { href: link(name) }, t(title))))));
  const menu = el("button", { id: "menu", type: "button", "aria-expanded": "false", "aria-controls": "ways", onclick: toggleMenu }, t("menu"));
  const state = el("span", { id: "state", role: "status" });
  return [
    el("a", { href: "#main", class: "skip", onclick: skip }, t("skip")),
    el("header", {}, menu, el("strong", {}, "Corecast"), state,
      el("div", { class: "preferences" }, preferences(), el("button", { type: "button", class: "small", onclick: signOut }, t("sign_out")))),
    el("div", { id: "page" }, ways, el("main", { id: "main", tabindex: -1 })),
  ];
}

function showState() {
  const state = document.querySelector("#state");
  if (!state) return;
  state.dataset.state = live.status.state;
  say(state, t(`stream_${live.status.state}`));
}

function skip(event) {
  event.preventDefault();
  document.querySelector("#main").focus();
}

function toggleMenu() {
  const menu = document.querySelector("#menu");
  const open = menu.getAttribute("aria-expanded") !== "true";
  menu.setAttribute("aria-expanded", String(open));
  document.querySelector("#ways").classList.toggle("open", open);
}

function closeMenu() {
  document.querySelector("#menu")?.setAttribute("aria-expanded", "false");
  document.querySelector("#ways")?.classList.remove("open");
}

function preferences() {
  const languages = el("select", { id: "language", "aria-label": "Language · 语言", onchange: speak },
    [["en", "English"], ["zh", "中文"]].map(([value, name]) => el("option", { value, lang: value, selected: value === language() }, name)));
  const schemes = el("select", { id: "scheme", "aria-label": t("scheme"), onchange: colour },
    SCHEMES.map((value) => el("option", { value, selected: value === scheme }, t(`scheme_${value}`))));
  return [languages, schemes];
}

/** The whole page anew, in another language. */
function speak(event) {
  choose(event.target.value);
  paint();
  document.body.replaceChildren();
  if (signed === "in") show();
  else signedOut("");
  document.querySelector("#language").focus();
}

function colour(event) {
  scheme = event.target.value;
  keep("scheme", scheme);
  paint();
}

function paint() {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  document.documentElement.dataset.scheme = scheme;
}
