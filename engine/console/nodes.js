// The nodes of the cluster, as this one sees them.

import { latest, listen } from "./live.js";
import { Table } from "./table.js";
import { t } from "./text.js";

export const nodes = { title: "nodes", show };

function show(root, _, signal) {
  const table = new Table(t("nodes"), ({ name }) => name, [
    ["node", "name", ({ name }) => name],
    ["state", "plain"],
    ["connections", "number"],
  ], t("nodes_none"));
  const draw = () => table.update(latest.get("nodes") ?? []);
  root.append(table.element);
  listen("nodes", draw, signal);
  draw();
}
