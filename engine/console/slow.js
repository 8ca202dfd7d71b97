// The connections with most waiting to be written.

import { get } from "./api.js";
import { el } from "./dom.js";
import { bytes, seconds } from "./format.js";
import { field, link, named, repeat } from "./parts.js";
import { Table } from "./table.js";
import { t } from "./text.js";

const AGAIN_MS = 2_000;

export const slow = { title: "slow", show };

function show(root, _, signal) {
  const table = new Table(t("slow"), (row) => row.socket_id, [
    ["connection", "made", ({ socket_id }) => named(socket_id, "connection", { socket_id })],
    ["app", "name"],
    ["waiting", "number", (row) => bytes(row.waiting_bytes)],
    ["waits_for", "number", (row) => seconds(row.waiting_ms / 1000)],
    ["address", "name"],
    ["agent", "wide"],
  ], t("slow_none"));
  root.append(search());
  repeat(root, AGAIN_MS, signal, async () => table.update((await get("slow", {}, signal)).connections));
  root.append(table.element);
}

/** The way to any connection by its socket_id. */
function search() {
  const id = el("input", { required: true, placeholder: "1234.5678", autocomplete: "off", inputmode: "decimal" });
  const find = (event) => {
    event.preventDefault();
    location.hash = link("connection", { socket_id: id.value.trim() });
  };
  return el("form", { class: "bar", onsubmit: find }, field(t("socket_id"), id), el("button", { class: "main" }, t("look")));
}
