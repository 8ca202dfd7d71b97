// The apps of the server, as they are this second.

import { latest, listen } from "./live.js";
import { named } from "./parts.js";
import { Table } from "./table.js";
import { t } from "./text.js";

export const apps = { title: "apps", show };

function show(root, _, signal) {
  const table = new Table(t("apps"), ({ id }) => id, [
    ["app", "made", ({ id }) => named(id, "channels", { app: id })],
    ["connections", "number"],
    ["channels", "number"],
  ]);
  const draw = () => table.update(latest.get("apps") ?? []);
  root.append(table.element);
  listen("apps", draw, signal);
  draw();
}
