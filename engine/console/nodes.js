// The nodes of the cluster, as this one sees them.

import { clock } from "./format.js";
import { follow } from "./parts.js";
import { Table } from "./table.js";
import { t } from "./text.js";

export const nodes = { title: "nodes", show };

function show(root, _, signal) {
  const table = new Table(t("nodes"), ({ name }) => name, [
    ["node", "name", ({ name }) => name],
    ["state", "plain"],
    ["since", "plain", ({ since }) => clock(since)],
    ["unacknowledged", "number"],
    ["gaps", "number"],
    ["reason", "wide", ({ why }) => why],
  ], t("nodes_none"));
  follow(root, "nodes", table, signal);
}
