// Cache channels in pusher-js, in Node and in a real browser: a late subscriber gets the last event, or hears that there
// is none; and what a back end may ask and hears of it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Browser } from "./browser.mjs";
import { Clients, emitted, fence, publisherOf, received, until } from "./clients.mjs";
import { APP, Server } from "./server.mjs";

const ANN = { user_id: "ann", user_info: { name: "Ann" } };
const KINDS = ["cache-", "private-cache-", "presence-cache-"];
const BUNDLE = createRequire(import.meta.url).resolve("pusher-js/dist/web/pusher.js");

const told = [];
let directory;
let endpoint;
let server;
let clients;
let publisher;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "corecast-cache-"));
  endpoint = http.createServer(take).listen(0, "127.0.0.1");
  await once(endpoint, "listening");
  const url = `http://127.0.0.1:${endpoint.address().port}/hooks`;
  server = await Server.start("--data-dir", join(directory, "data"), "--webhook", url);
  clients = new Clients(server);
  publisher = publisherOf(server);
});

after(async () => {
  clients.disconnect();
  await server.stop();
  endpoint.closeAllConnections();
  endpoint.close();
  await rm(directory, { recursive: true });
});

for (const kind of KINDS) {
  test(`a late subscriber of a ${kind} channel gets the last event, and an early one a miss`, async () => {
    const name = `${kind}prices`;
    const early = (await clients.connect({ user: ANN })).subscribe(name);
    const order = orderOf(early);
    await until(() => order.length === 2, () => `got ${order}`);
    assert.deepEqual(order.splice(0), ["pusher:subscription_succeeded", "pusher:cache_miss"]);
    for (const price of [1, 2]) await publisher.trigger(name, "price", { price });
    const late = (await clients.connect({ user: ANN })).subscribe(name);
    const [later, prices] = [orderOf(late), received(late, "price")];
    await until(() => later.length === 2, () => `got ${later}`);
    assert.deepEqual(later, ["pusher:subscription_succeeded", "price"]);
    assert.deepEqual(prices, [{ price: 2 }]);
    await fence(publisher, early, late);
    assert.deepEqual(prices, [{ price: 2 }]);
  });
}

test("an encrypted cache channel replays what only its clients can read", async () => {
  const sealing = publisherOf(server, { encryptionMasterKeyBase64: Buffer.alloc(32, 7).toString("base64") });
  const authorize = ({ socketId, channelName }, done) => done(null, sealing.authorizeChannel(socketId, channelName));
  await sealing.trigger("private-encrypted-cache-vault", "opened", { combination: [1, 2, 3] });
  const client = await clients.connect({ authorize });
  const [data] = await emitted(client.subscribe("private-encrypted-cache-vault"), "opened");
  assert.deepEqual(data, { combination: [1, 2, 3] });
});

test("client events are not cached", async () => {
  const name = "private-cache-typing";
  const sender = (await clients.connect()).subscribe(name);
  await emitted(sender, "pusher:cache_miss");
  const hearer = (await clients.connect()).subscribe(name);
  await emitted(hearer, "pusher:cache_miss");
  const heard = emitted(hearer, "client-typing");
  sender.trigger("client-typing", { who: "ann" });
  await heard;
  const late = (await clients.connect()).subscribe(name);
  await emitted(late, "pusher:cache_miss");
});

test("a back end can ask what a channel remembers, and for how long it will", async () => {
  const ask = async (channel) => {
    const response = await publisher.get({ path: `/channels/${channel}`, params: { info: "cache" } });
    return (await response.json()).cache;
  };
  assert.equal(await ask("cache-asked"), null);
  await publisher.trigger("cache-asked", "e", { asked: true });
  const { data, ttl } = await ask("cache-asked");
  assert.deepEqual(JSON.parse(data), { asked: true });
  assert.ok(ttl > 1_790 && ttl <= 1_800, String(ttl));
});

test("a back end is told once that a channel is empty", async () => {
  const name = "cache-told";
  for (const client of [await clients.connect(), await clients.connect()]) {
    await emitted(client.subscribe(name), "pusher:cache_miss");
  }
  const open = (await clients.connect()).subscribe("cache-told-last");
  await emitted(open, "pusher:cache_miss");
  const misses = () => told.filter(({ name: event }) => event === "cache_miss").map(({ channel }) => channel);
  await until(() => misses().includes("cache-told-last"), () => `told of ${misses()}`);
  assert.equal(misses().filter((channel) => channel === name).length, 1);
});

test("a browser gets the last event, or a miss", async () => {
  const browser = await Browser.launch();
  try {
    await publisher.trigger("cache-browser", "price", { price: 3 });
    const page = await browser.newPage();
    await page.goto(`http://${server.host}:${server.port}/live`);
    await page.addScriptTag({ path: BUNDLE });
    const seen = await page.evaluate(
      (key, wsHost, wsPort) =>
        new Promise((resolve) => {
          const pusher = new Pusher(key, { cluster: "", wsHost, wsPort, forceTLS: false, enabledTransports: ["ws"] });
          const seen = [];
          const bind = (name, wanted) => {
            pusher.subscribe(name).bind_global((event, data) => {
              if (event !== "pusher:subscription_count") seen.push([name, event, data]);
              if (seen.length === 4) resolve(seen.sort());
            });
          };
          bind("cache-browser");
          bind("cache-browser-empty");
        }),
      APP.key,
      server.host,
      server.port,
    );
    assert.deepEqual(seen, [
      ["cache-browser", "price", { price: 3 }],
      ["cache-browser", "pusher:subscription_succeeded", {}],
      ["cache-browser-empty", "pusher:cache_miss", {}],
      ["cache-browser-empty", "pusher:subscription_succeeded", {}],
    ]);
  } finally {
    await browser.close();
  }
});

/** The names of what a channel gets, in order of arrival, without how many are subscribed. */
function orderOf(channel) {
  const order = [];
  channel.bind_global((event) => event === "pusher:subscription_count" || order.push(event));
  return order;
}

async function take(request, response) {
  let body = "";
  for await (const part of request) body += part;
  told.push(...JSON.parse(body).events);
  response.writeHead(200).end();
}
