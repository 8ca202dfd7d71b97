// The connections with most waiting to be written.

import { get } from "./api.js";
import { bytes, seconds } from "./format.js";
import { named, problemLine, repeat } from "./parts.js";
import { Table } from "./table.js";
import { t } from "./text.js";

const AGAIN_MS = 2_000;

export const slow = { title: "slow", show };

function show(root, _, signal) {
  const problem = problemLine();
  const table = new Table(t("slow"), (row) => row.socket_id, [
    ["connection", "made", ({ socket_id }) => named(socket_id, "connection", { socket_id })],
    ["app", "name"],
    ["waiting", "number", (row) => bytes(row.waiting_bytes)],
    ["waits_for", "number", (row) => seconds(row.waiting_ms / 1000)],
    ["address", "name"],
    ["agent", "wide"],
  ], t("slow_none"));
  root.append(problem, table.element);
  repeat(AGAIN_MS, signal, problem, async () => table.update((await get("slow", {}, signal)).connections));
}
