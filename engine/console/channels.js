// The channels of an app, found by how their names begin.

import { get } from "./api.js";
import { el } from "./dom.js";
import { appSelect, field, link, named, repeat } from "./parts.js";
import { Table } from "./table.js";
import { t } from "./text.js";

const AGAIN_MS = 3_000;
const TYPING_MS = 250;

export const channels = { title: "channels", show };

function show(root, parameters, signal) {
  const prefix = el("input", { type: "search", value: parameters.get("prefix") ?? "", autocapitalize: "off", autocomplete: "off", spellcheck: "false", placeholder: "presence-" });
  const table = new Table(t("channels"), ({ name }) => name, [
    ["channel", "made", ({ name }) => named(name, "channel", { app: app.value, name })],
    ["subscriptions", "number"],
    ["users", "number"],
  ], t("no_channels"));
  let pages = 1;
  let typing = 0;
  let asked = 0;
  const more = el("button", { type: "button", hidden: true, onclick: () => { pages += 1; again(); } }, t("more"));
  const app = appSelect(parameters.get("app"), fresh, signal);
  prefix.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(fresh, TYPING_MS);
  });
  const find = (event) => {
    event.preventDefault();
    fresh();
  };
  root.append(el("form", { class: "bar", role: "search", onsubmit: find }, field(t("app"), app), field(t("prefix"), prefix)));

  /** Another question than before: its first page, and an address that finds it again. */
  function fresh() {
    pages = 1;
    history.replaceState(null, "", link("channels", { app: app.value, prefix: prefix.value }));
    again();
  }

  async function read() {
    if (!app.value) return;
    asked += 1;
    const mine = asked;
    const found = [];
    let cursor = "";
    for (let page = 0; page < pages; page += 1) {
      const answer = await get("channels", { app: app.value, prefix: prefix.value, cursor }, signal);
      if (mine !== asked) return;
      found.push(...answer.channels);
      cursor = answer.next;
      if (!cursor) break;
    }
    table.update(found);
    more.hidden = !cursor;
  }

  const again = repeat(root, AGAIN_MS, signal, read);
  root.append(table.element, more);
}
