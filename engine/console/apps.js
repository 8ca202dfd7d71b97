// The apps of the server, as they are this second.

import { follow, named } from "./parts.js";
import { Table } from "./table.js";
import { t } from "./text.js";

export const apps = { title: "apps", show };

function show(root, _, signal) {
  const table = new Table(t("apps"), ({ id }) => id, [
    ["app", "made", ({ id }) => named(id, "channels", { app: id })],
    ["connections", "number"],
    ["subscriptions", "number"],
    ["channels", "number"],
    ["state", "plain", ({ enabled }) => t(enabled ? "on" : "off")],
  ]);
  follow(root, "apps", table, signal);
}
