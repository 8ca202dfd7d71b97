// The console's view of the nodes in a real browser: two real nodes and a real Redis, and what it shows when one of them or the
// Redis is gone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Browser } from "./browser.mjs";
import { Clients, emitted, publisherOf, subscribed } from "./clients.mjs";
import { freePort } from "./ports.mjs";
import { Redis } from "./redis.mjs";
import { Server } from "./server.mjs";

const TOKEN = "a-token-for-the-console-tests";
const PATIENCE = { timeout: 30_000, polling: 50 };
const LEASE_S = 3;

let redis, node, other, clients, browser, page;

before(async () => {
  redis = await Redis.start();
  const address = `127.0.0.1:${await freePort()}`;
  const cluster = ["--cluster", redis.url, "--cluster-lease", String(LEASE_S)];
  node = await Server.startMoved({ CORECAST_ADMIN_TOKEN: TOKEN, CORECAST_APPS: "7001:sdk-key:sdk-secret" }, "--admin", address, ...cluster);
  other = await Server.start(...cluster);
  clients = new Clients(node);
  browser = await Browser.launch("--lang=en-GB");
  page = await browser.newPrivatePage();
  await page.goto(`http://${address}/#token=${TOKEN}`);
  await page.waitForFunction(() => document.querySelector("#state")?.dataset.state === "live", PATIENCE);
  await page.evaluate(() => { location.hash = "#/nodes"; });
}, { timeout: 60_000 });

after(async () => {
  await browser?.close();
  clients?.disconnect();
  await Promise.all([node, other].map((server) => server?.stop()));
  await redis?.stop();
});

/** Waits until the row of the one Redis is so; returns its cells by the titles of their columns. */
async function row(holds) {
  const end = Date.now() + PATIENCE.timeout;
  for (;;) {
    const cells = await page.$$eval("#main tbody td", (all) => all.map((cell) => [cell.dataset.label, cell.textContent]));
    const shown = Object.fromEntries(cells);
    if (cells.length && holds(shown)) return shown;
    assert.ok(Date.now() < end, `not so: ${holds}: ${JSON.stringify(shown)}\n${node.output}`);
    await sleep(PATIENCE.polling);
  }
}

test("a node that is joined has a lease, a round trip, and the channels that it hears of", async () => {
  const client = await clients.connect();
  const channel = await subscribed(client, "news");
  const hello = emitted(channel, "hello");
  await publisherOf(other).trigger("news", "hello", {});
  await hello;
  const shown = await row((it) => it.State === "up" && it.Channels === "1" && /µs|ms/.test(it["Round trip p50 / p99"]));
  assert.equal(shown["Joined by"], `127.0.0.1:${redis.port}`);
  assert.match(shown["Lease left"], /^([0-2]\.?\d* s|\d+ ms|3 s)$/);
  assert.match(shown["Round trip p50 / p99"], /^[\d.,]+ (µs|ms) \/ [\d.,]+ (µs|ms)$/);
  assert.match(shown["Inbox lag"], /^[\d.]+ (B|KiB)$/);
  assert.match(shown.Since, /^\d\d:\d\d:\d\d$/);
  assert.deepEqual([shown.Gaps, shown.Unacknowledged, shown.Reason], ["0", "0", "–"]);
});

test("a Redis that is gone is told of with the reason, and so is its return", async () => {
  await redis.stop();
  const alone = await row((it) => it.State === "none" && it.Reason !== "–");
  assert.match(alone.Reason, /no connection/);
  assert.equal(alone["Lease left"], "–");
  redis = await Redis.startAt(redis.port);
  const back = await row((it) => it.State === "up" && it.Channels === "1");
  assert.deepEqual([back.Reason, back.Gaps], ["–", "1"]);
});
