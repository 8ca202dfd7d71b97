// The remote tests that the server SDK for Node ships in its own package, as they are, by their own runner.
//
// They ask whatever server PUSHER_URL names, and were written against the hosted service.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";

import { APP, Server } from "./server.mjs";

const require = createRequire(import.meta.url);
const FILES = join(dirname(require.resolve("pusher/package.json")), "tests", "remote", "**", "*.js");
const TEST_MS_MAX = 15_000;
const RUN_MS_MAX = 120_000;
const SUBJECTS = ["#get", "#trigger", "#triggerBatch", "proxy"];

let server;
let folder;

before(async () => {
  server = await Server.start();
  folder = await mkdtemp(join(tmpdir(), "corecast-remote-"));
});

after(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

test("the SDK's own remote tests pass", { timeout: RUN_MS_MAX }, async (context) => {
  const file = join(folder, "outcome.json");
  const options = ["--reporter", "json", "--reporter-option", `output=${file}`, "--timeout", String(TEST_MS_MAX)];
  const url = `http://${APP.key}:${APP.secret}@${server.host}:${server.port}/apps/${APP.id}`;
  const mocha = spawn(process.execPath, [require.resolve("mocha/bin/mocha.js"), ...options, FILES], {
    env: { ...process.env, PUSHER_URL: url },
    stdio: ["ignore", "ignore", "inherit"],
    timeout: RUN_MS_MAX,
  });
  const [code] = await once(mocha, "exit");
  const { tests } = JSON.parse(await readFile(file, "utf8"));
  for (const { fullTitle, err } of tests) {
    await context.test(fullTitle, () => assert.deepEqual(err, {}));
  }
  for (const subject of SUBJECTS) {
    assert.ok(tests.some(({ fullTitle }) => fullTitle.includes(subject)), `no test of ${subject} was run`);
  }
  assert.equal(code, 0);
});
