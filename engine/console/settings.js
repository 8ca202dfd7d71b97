// Every setting as it holds, and where it is from.

import { get } from "./api.js";
import { el } from "./dom.js";
import { field, repeat } from "./parts.js";
import { Table } from "./table.js";
import { t } from "./text.js";

const AGAIN_MS = 15_000;

export const settings = { title: "settings", show };

function show(root, _, signal) {
  let all = [];
  const words = el("input", { type: "search", autocapitalize: "off", autocomplete: "off", spellcheck: "false", oninput: draw });
  const changed = el("input", { type: "checkbox", onchange: draw });
  const table = new Table(t("settings"), ({ key }) => key, [
    ["setting", "name", ({ key }) => key],
    ["value", "wide"],
    ["origin", "wide", ({ origin, where }) => where ?? origin],
    ["default", "wide"],
  ], t("settings_none"));
  root.append(el("form", { class: "bar", role: "search", onsubmit: (event) => event.preventDefault() },
    field(t("filter"), words), el("label", { class: "check" }, changed, t("only_changed"))));
  repeat(root, AGAIN_MS, signal, async () => {
    all = await get("settings", {}, signal);
    draw();
  });
  root.append(table.element);

  function draw() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    table.update(all.filter((row) => (!changed.checked || row.differs)
      && wanted.every((word) => `${row.key} ${row.value} ${row.origin} ${row.where ?? ""}`.toLowerCase().includes(word))));
  }
}
