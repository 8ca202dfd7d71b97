// What was refused lately, why, and what to do about it.

import { get } from "./api.js";
import { clock } from "./format.js";
import { problemLine, repeat } from "./parts.js";
import { Table } from "./table.js";
import { t } from "./text.js";

const AGAIN_MS = 3_000;

export const problems = { title: "problems", show };

function show(root, _, signal) {
  const problem = problemLine();
  const table = new Table(t("problems"), (row) => row.key, [
    ["time", "plain", ({ at }) => clock(at)],
    ["app", "name"],
    ["what", "plain"],
    ["reason", "wide"],
    ["remedy", "wide"],
    ["address", "name"],
  ], t("problems_none"));
  root.append(problem, table.element);
  repeat(AGAIN_MS, signal, problem, async () => table.update((await get("problems", {}, signal)).problems));
}
