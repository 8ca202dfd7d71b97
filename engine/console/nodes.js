// The nodes of the cluster, as this one sees them.

import { bytes, clock, micros, seconds } from "./format.js";
import { follow } from "./parts.js";
import { Table } from "./table.js";
import { t } from "./text.js";

export const nodes = { title: "nodes", show };

function show(root, _, signal) {
  const table = new Table(t("nodes"), ({ name }) => name, [
    ["node", "name", ({ name }) => name],
    ["state", "plain"],
    ["since", "plain", ({ since }) => clock(since)],
    ["lease_left", "plain", (row) => seconds(row.lease_left_ms && row.lease_left_ms / 1000)],
    ["roundtrip", "plain", (row) => `${micros(row.roundtrip_p50_us)} / ${micros(row.roundtrip_p99_us)}`],
    ["inbox_lag", "plain", (row) => bytes(row.inbox_lag_bytes)],
    ["channels", "number", ({ topics }) => topics],
    ["unacknowledged", "number"],
    ["gaps", "number"],
    ["reason", "wide", ({ why }) => why],
  ], t("nodes_none"));
  follow(root, "nodes", table, signal);
}
