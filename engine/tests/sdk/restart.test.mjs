// SIGTERM and a start, over and over: pusher-js in a real browser is back before anybody has looked twice.
//
// A browser's client that finds nobody stays away for 15 s, so one restart in which the port refuses it at the wrong moment
// is seen at once. Every second start does not wait for the end of the predecessor. CHROMIUM names the browser if it is not
// on the PATH as chromium.

import assert from "node:assert/strict";
import { once } from "node:events";
import { access, constants, mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import puppeteer from "puppeteer-core";
import { publisherOf } from "./clients.mjs";
import { freePort } from "./ports.mjs";
import { APP, Server } from "./server.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "chromium";
const TRIES = process.env.CORECAST_LONG ? 20 : 5;
const BACK_MS_MAX = 2_500;
const EVENT_MS_MAX = 20_000;
const PUSHER_JS = path.join(path.dirname(createRequire(import.meta.url).resolve("pusher-js/package.json")), "dist/web/pusher.js");

let browser;
let folder;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "corecast-restart-"));
  browser = await puppeteer.launch({
    browser: "chrome",
    executablePath: CHROMIUM.includes("/") ? CHROMIUM : await onPath(CHROMIUM),
    userDataDir: path.join(folder, "profile"),
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

test("a browser is back after each plain restart", () => comeBack());

test("a browser is back after each plain restart of a server with hooks", async () => {
  const receiver = http.createServer((_, response) => response.end()).listen(0, "127.0.0.1");
  await once(receiver, "listening");
  try {
    const url = `http://127.0.0.1:${receiver.address().port}/`;
    await comeBack("--webhook", url, "--data-dir", path.join(folder, "data"));
  } finally {
    receiver.closeAllConnections();
    receiver.close();
  }
});

/** Restarts a server with these options while a page is connected. */
async function comeBack(...options) {
  const server = await Server.start("--admin", `127.0.0.1:${await freePort()}`, ...options);
  const page = await browser.newPage();
  try {
    await page.addScriptTag({ path: PUSHER_JS });
    await page.evaluate(open, APP.key, server.port);
    await page.waitForFunction(() => window.connects.length === 1 && window.channel.subscribed, { polling: 5 });
    const times = [];
    for (let round = 1; round <= TRIES; round += 1) {
      const begun = Date.now();
      await server.restart({ waits: round % 2 === 0 });
      await page.waitForFunction((count) => window.connects.length > count, { polling: 5, timeout: EVENT_MS_MAX }, round);
      times.push((await page.evaluate((last) => window.connects[last], round)) - begun);
      await page.waitForFunction(() => window.channel.subscribed, { polling: 5, timeout: EVENT_MS_MAX });
      await publisherOf(server).trigger("news", "round", { round });
      await page.waitForFunction((last) => window.heard.at(-1) === last, { polling: 5, timeout: EVENT_MS_MAX }, round);
    }
    console.log(`back after ${times.join(", ")} ms`);
    assert.ok(Math.max(...times) <= BACK_MS_MAX, `back after ${times.join(", ")} ms`);
  } finally {
    await page.close();
    await server.stop();
  }
}

/** Runs in the page: what an application does, and when it was connected. */
function open(key, wsPort) {
  window.connects = [];
  window.heard = [];
  const pusher = new window.Pusher(key, { cluster: "", wsHost: "127.0.0.1", wsPort, forceTLS: false, enabledTransports: ["ws"] });
  pusher.connection.bind("connected", () => window.connects.push(Date.now()));
  window.channel = pusher.subscribe("news");
  window.channel.bind("round", ({ round }) => window.heard.push(round));
}

async function onPath(program) {
  for (const directory of process.env.PATH.split(":")) {
    const file = path.join(directory, program);
    if (await access(file, constants.X_OK).then(() => true, () => false)) return file;
  }
  throw new Error(`${program} is not on the PATH: install chromium, or name a browser by CHROMIUM`);
}
