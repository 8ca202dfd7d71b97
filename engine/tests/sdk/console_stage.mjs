// The stage of the console's tests: a server with an admin listener under a load, an endpoint of hooks that refuses, and a browser
// that is signed in.
//
// Each file is a process of its own, so each has a stage of its own, from before its first test until after its last.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";

import { Browser } from "./browser.mjs";
import { Clients, publisherOf, subscribed } from "./clients.mjs";
import { freePort } from "./ports.mjs";
import { APP, Server } from "./server.mjs";

export const TOKEN = "a-token-for-the-console-tests";
// A page that is not in front draws nothing, so it is asked by the clock.
export const PATIENCE = { timeout: 30_000, polling: 50 };
export const HOSTILE = "<img src=x onerror=\"globalThis.taken=1\">\u001b[31m\u202egnp";
export const ROOM = "presence-room";

let folder;
export let endpoint;
export let address;
export let server;
export let clients;
export let publisher;
export let ann;
export let browser;
export let page;
let load;
/** What pages have asked for, and what they have complained about. */
export const asked = [];
export const complaints = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "corecast-console-"));
  endpoint = await refusingEndpoint();
  address = `127.0.0.1:${await freePort()}`;
  const file = join(folder, "corecast.toml");
  await writeFile(file, `admin = "${address}"
admin_token = "${TOKEN}"

[limits]
event_data_bytes_max = 2097152
outbox_bytes_max = 67108864

[hooks]
data_dir = "${join(folder, "data")}"

[[apps]]
id = "${APP.id}"
key = "${APP.key}"
secret = "${APP.secret}"
client_events = true

[[apps.hooks]]
name = "backend"
url = "http://127.0.0.1:${endpoint.address().port}/"
events = ["channel_occupied"]
`);
  server = await Server.start("--config", file);
  clients = new Clients(server);
  publisher = publisherOf(server);
  await beginLoad();
  browser = await Browser.launch("--lang=en-GB");
  page = await opened(`#token=${TOKEN}`);
  await live(page);
}, { timeout: 180_000 });

after(async () => {
  clearInterval(load);
  await browser?.close();
  clients?.disconnect();
  await server?.stop();
  endpoint?.close();
  if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** Two members of a room, one that listens to prices, and an event ten times a second. */
async function beginLoad() {
  ann = await clients.connect({ user: { user_id: "ann", user_info: { name: HOSTILE } } });
  const bob = await clients.connect({ user: { user_id: "bob" } });
  const prices = await clients.connect();
  await Promise.all([subscribed(ann, ROOM), subscribed(bob, ROOM), subscribed(prices, "cache-prices")]);
  await publisher.trigger("cache-prices", "price", { EURUSD: 1.08 });
  let n = 0;
  load = setInterval(() => publisher.trigger([ROOM, "news"], "tick", { n: (n += 1) }).catch(() => {}), 100);
}

/** An endpoint that refuses for good, until it is told to accept. */
async function refusingEndpoint() {
  let accepted;
  const opened = http.createServer((request, response) => {
    request.resume();
    if (opened.accepts) {
      accepted();
      response.end();
    } else response.writeHead(500, { "webhook-delivery": "abort-message" }).end();
  });
  opened.accepts = false;
  opened.accepted = new Promise((resolve) => (accepted = resolve));
  opened.listen(0, "127.0.0.1");
  await once(opened, "listening");
  return opened;
}

/** A way to the server that can be cut. */
export class Line {
  static async open(port, host) {
    const line = new Line();
    Object.assign(line, { target: { port, host }, port: await freePort() });
    await line.mend();
    return line;
  }

  get address() {
    return `127.0.0.1:${this.port}`;
  }

  async mend() {
    this.sockets = new Set();
    this.listener = net.createServer((near) => {
      const far = net.connect(this.target);
      for (const [one, other] of [[near, far], [far, near]]) {
        this.sockets.add(one);
        one.on("error", () => {}).on("close", () => other.destroy());
        one.pipe(other);
      }
    }).listen(this.port, "127.0.0.1");
    await once(this.listener, "listening");
  }

  async cut() {
    const closed = once(this.listener, "close");
    this.listener.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

export async function opened(path, at = address) {
  const opened = await browser.newPrivatePage();
  opened.on("request", (request) => asked.push(request.url()));
  opened.on("console", (message) => { if (message.type() === "error") complaints.push(message.text()); });
  opened.on("pageerror", (error) => complaints.push(String(error)));
  await opened.setViewport({ width: 1280, height: 800 });
  await opened.goto(`http://${at}/${path}`);
  return opened;
}

export async function live(of) {
  await of.waitForFunction(() => document.querySelector("#state")?.dataset.state === "live" && document.querySelector("h1"), PATIENCE);
}

/** Shows a view, once what it knows has come. */
export async function go(of, view) {
  await of.evaluate((hash) => { location.hash = hash; }, `#/${view}`);
  const [name] = view.split("?");
  await of.waitForFunction((shown) => document.querySelector("#main")?.dataset.view === shown, PATIENCE, name);
}

/** Waits until the page's text has all of these, with each space as one. */
export async function said(of, ...wanted) {
  const sources = wanted.map(({ source }) => source);
  await of.waitForFunction((all) => {
    const text = document.body.innerText.replace(/\s+/g, " ");
    return all.every((source) => new RegExp(source).test(text));
  }, PATIENCE, sources).catch(async (error) => {
    throw new Error(`${wanted} is not in: ${await of.evaluate(() => document.body.innerText)}`, { cause: error });
  });
}

/** Presses the button that says so, there or anywhere. */
export async function button(of, text, within = "body") {
  const found = await of.waitForFunction((wanted, where) =>
    [...document.querySelectorAll(`${where} button`)].find((one) => one.textContent === wanted && !one.disabled), PATIENCE, text, within);
  await found.click();
}

/** Presses Tab until what says so has the focus. */
export async function tabTo(of, text) {
  for (let presses = 0; presses < 60; presses += 1) {
    await of.keyboard.press("Tab");
    if (await of.evaluate((wanted) => document.activeElement.textContent === wanted, text)) return;
  }
  assert.fail(`Tab never reaches ${text}`);
}

export async function fetched(path, headers = {}) {
  const [host, port] = address.split(":");
  const request = http.get({ host, port, path, agent: false, headers });
  const [response] = await once(request, "response");
  const parts = await response.setEncoding("utf8").toArray();
  return { status: response.statusCode, headers: response.headers, text: parts.join("") };
}

export async function status(path, headers) {
  return (await fetched(path, headers)).status;
}
