// The nodes of the cluster, as this one sees them.

import { clock, exact } from "./format.js";
import { follow } from "./parts.js";
import { Table } from "./table.js";
import { t } from "./text.js";

export const nodes = { title: "nodes", show };

function show(root, _, signal) {
  const table = new Table(t("nodes"), ({ server }) => server, [
    ["node", "name", ({ server }) => server],
    ["state", "plain"],
    ["since", "plain", ({ since }) => clock(since)],
    ["lag", "number", (row) => (row.lag_ms == null ? null : `${exact(row.lag_ms)} ms`)],
    ["gaps", "number"],
  ], t("nodes_none"));
  follow(root, "nodes", table, signal);
}
