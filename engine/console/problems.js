// What was refused lately, why, and what to do about it.

import { get } from "./api.js";
import { clock } from "./format.js";
import { repeat } from "./parts.js";
import { Table } from "./table.js";
import { t } from "./text.js";

const AGAIN_MS = 3_000;

export const problems = { title: "problems", show };

function show(root, _, signal) {
  const table = new Table(t("problems"), (row) => [row.at, row.app, row.what, row.reason, row.address].join(), [
    ["time", "plain", ({ at }) => clock(at)],
    ["app", "name"],
    ["what", "name", (row) => [row.what, row.channel ?? row.path ?? row.key].filter(Boolean).join(" ")],
    ["reason", "wide"],
    ["remedy", "wide"],
    ["address", "name"],
    ["times", "number", ({ count }) => count],
  ], t("problems_none"));
  repeat(root, AGAIN_MS, signal, async () => table.update((await get("problems", {}, signal)).problems));
  root.append(table.element);
}
