// Real reports by small real runs: the harness against its own floor server, alone and in a comparison.
//
// The harness is the built binary; CORECAST_LOADTEST names it. What is written is in a temporary folder that `dispose` removes.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import readline from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

const BINARY =
  process.env.CORECAST_LOADTEST ??
  fileURLToPath(new URL("../../../target/release/corecast-loadtest", import.meta.url));
const RUN_MS_MAX = 120_000;
const APP = "1:key:secret";

export class Reports {
  /** Makes both; `run` and `comparison` are the addresses of their pages. */
  static async make() {
    const reports = new Reports(await mkdtemp(path.join(tmpdir(), "corecast-page-")));
    const floor = spawn(BINARY, ["floor", "--listen", "127.0.0.1:0", "--with-parent"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    try {
      const address = await listening(floor);
      const load = ["--connections", "50", "--rate", "200", "--duration", "1.5"];
      const run = harness(["fanout", "--ws", address, "--app", APP, "--pid", String(floor.pid), ...load, "--report", reports.#file("run")]);
      const target = (name) => ["--target", `${name}=ws=${address},app=${APP},pid=${floor.pid}`];
      const compared = [...target("first server"), ...target("<b>second & last</b>"), "--floor", "--rounds", "2"];
      const comparison = harness(["compare", "fanout", ...load, ...compared, "--report", reports.#file("comparison")]);
      await Promise.all([run, comparison]);
    } finally {
      floor.kill("SIGKILL");
      await once(floor, "exit");
    }
    return reports;
  }

  constructor(folder) {
    this.folder = folder;
    this.run = pathToFileURL(this.#file("run")).href;
    this.comparison = pathToFileURL(this.#file("comparison")).href;
  }

  async dispose() {
    await rm(this.folder, { recursive: true, force: true });
  }

  #file(name) {
    return path.join(this.folder, `${name}.html`);
  }
}

async function listening(floor) {
  for await (const line of readline.createInterface({ input: floor.stdout })) {
    const address = /listening on (\S+)/.exec(line)?.[1];
    assert.ok(address, `the floor said: ${line}`);
    return address;
  }
  throw new Error("the floor did not start");
}

async function harness(args) {
  await promisify(execFile)(BINARY, args, { timeout: RUN_MS_MAX });
}
