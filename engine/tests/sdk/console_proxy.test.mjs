// The console behind a real nginx with TLS, by the settings and the location that docs/console.md prints, in a real browser.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Browser } from "./browser.mjs";
import { NAME, Proxy } from "./nginx.mjs";
import { freePort } from "./ports.mjs";
import { APP, Server } from "./server.mjs";

const TOKEN = "a-token-for-the-console-tests";
const PATIENCE = { timeout: 30_000, polling: 50 };
const SAMPLES = 3;
// From the copy of the tests under target/sdk/node.
const PAGE = new URL("../../../docs/console.md", import.meta.url);

let folder, server, proxy, browser, page;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "corecast-console-proxy-"));
  const blocks = (await readFile(PAGE, "utf8")).match(/(?:^ {4}.*\n)+/gm).map((block) => block.replaceAll(/^ {4}/gm, ""));
  const block = (start) => blocks.find((text) => text.startsWith(start));
  const admin = await freePort();
  const settings = block("admin_hosts").replace("console.example.com", NAME);
  const file = join(folder, "corecast.toml");
  await writeFile(file, `admin = "127.0.0.1:${admin}"
admin_token = "${TOKEN}"
${settings}
[[apps]]
id = "${APP.id}"
key = "${APP.key}"
secret = "${APP.secret}"
`);
  server = await Server.start("--config", file);
  proxy = await Proxy.startWith(block("location /").replace("127.0.0.1:9601", `127.0.0.1:${admin}`));
  browser = await Browser.launch(...proxy.browserArguments);
  page = await browser.newPrivatePage();
}, { timeout: 60_000 });

after(async () => {
  await browser?.close();
  await proxy?.stop();
  await server?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

test("samples come through nginx as they are made", async () => {
  await page.goto(`${proxy.origin}/#token=${TOKEN}`);
  await page.waitForFunction(() => document.querySelector("#state")?.dataset.state === "live", PATIENCE);
  const took = await page.evaluate((samples) => new Promise((resolve, reject) => {
    const stream = new EventSource("console/stream");
    const came = [];
    stream.onerror = () => reject(new Error("the stream broke"));
    stream.addEventListener("sample", () => {
      if (came.push(performance.now()) > samples) resolve(came.slice(1).map((at, place) => at - came[place]));
    });
  }), SAMPLES);
  // A proxy that buffers hands over many at once.
  assert.ok(took.every((ms) => ms > 500), `${took}`);
});

test("the cookie goes over TLS alone, and an action is allowed", async () => {
  const [cookie] = await page.cookies();
  assert.deepEqual([cookie.secure, cookie.httpOnly, cookie.sameSite], [true, true, "Strict"]);
  const status = await page.evaluate((app) => fetch("console/publish", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ app, channel: "news", name: "hello", data: "{}" }),
  }).then((response) => response.status), APP.id);
  assert.equal(status, 200, server.output);
});
