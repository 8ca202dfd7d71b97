// The webhooks of a running server, as an application takes them: the server SDK must believe each as it was sent, and
// none in which one byte is different.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Clients, emitted, publisherOf, subscribed, until } from "./clients.mjs";
import { APP, Server } from "./server.mjs";

const ANN = { user_id: "ann", user_info: { name: "Ann «ü»" } };
const BODY_POSITIONS = 64;

const webhooks = [];
let directory;
let endpoint;
let server;
let clients;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "corecast-webhook-"));
  endpoint = http.createServer(take).listen(0, "127.0.0.1");
  await once(endpoint, "listening");
  const url = `http://127.0.0.1:${endpoint.address().port}/hooks`;
  server = await Server.start("--data-dir", join(directory, "data"), "--webhook", url);
  clients = new Clients(server);
  await talk();
});

after(async () => {
  clients.disconnect();
  await server.stop();
  endpoint.closeAllConnections();
  endpoint.close();
  await rm(directory, { recursive: true });
});

test("a webhook is valid as it was sent", () => {
  for (const webhook of webhooks) {
    const told = publisherOf(server).webhook(webhook);
    assert.ok(told.isValid(), JSON.stringify(webhook));
    assert.ok(Math.abs(told.getTime() - Date.now()) < 60_000, String(told.getTime()));
  }
});

test("its events are those of Pusher", () => {
  const told = events();
  const said = told.find((event) => event.name === "client_event");
  assert.deepEqual(said, {
    name: "client_event",
    channel: "presence-room",
    event: "client-said",
    data: JSON.stringify({ text: "«ü» \u2028 👩‍👩‍👧‍👦" }),
    socket_id: said.socket_id,
    user_id: "ann",
    id: said.id,
  });
  assert.match(said.id, /^[1-9][0-9]*$/);
  const others = told.filter((event) => event !== said);
  assert.deepEqual(
    others.map(({ id, ...event }) => event),
    [
      { name: "channel_occupied", channel: "presence-room" },
      { name: "member_added", channel: "presence-room", user_id: "ann" },
      { name: "member_added", channel: "presence-room", user_id: "bob" },
    ],
  );
});

test("a webhook is invalid after one flipped byte of its body", () => {
  for (const { headers, rawBody } of webhooks) {
    const bytes = Buffer.from(rawBody);
    for (const at of sample(bytes.length, BODY_POSITIONS)) {
      const flipped = Buffer.from(bytes);
      flipped[at] ^= 1;
      assert.equal(publisherOf(server).webhook({ headers, rawBody: flipped }).isValid(), false, `byte ${at}`);
    }
  }
});

test("a webhook is invalid after one flipped byte of its signature or key", () => {
  const [{ headers, rawBody }] = webhooks;
  for (const name of ["x-pusher-signature", "x-pusher-key"]) {
    for (let at = 0; at < headers[name].length; at += 1) {
      const flipped = { ...headers, [name]: flip(headers[name], at) };
      assert.equal(publisherOf(server).webhook({ headers: flipped, rawBody }).isValid(), false, `${name}, byte ${at}`);
    }
  }
});

test("a webhook is invalid for another secret", () => {
  const other = publisherOf(server, { secret: `${APP.secret}x` });
  assert.equal(other.webhook(webhooks[0]).isValid(), false);
});

async function talk() {
  const ann = await subscribed(await clients.connect({ user: ANN }), "presence-room");
  const bob = await subscribed(await clients.connect({ user: { user_id: "bob" } }), "presence-room");
  const heard = emitted(bob, "client-said");
  ann.trigger("client-said", { text: "«ü» \u2028 👩‍👩‍👧‍👦" });
  await heard;
  await until(() => events().length >= 4, () => `four events, not ${JSON.stringify(events())}`);
}

function take(request, response) {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    webhooks.push({ headers: request.headers, rawBody: Buffer.concat(chunks).toString() });
    response.end("{}");
  });
}

function events() {
  return webhooks.flatMap(({ rawBody }) => JSON.parse(rawBody).events);
}

function flip(text, at) {
  return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1);
}

/** So many places, from the first to the last, evenly. */
function sample(length, count) {
  return Array.from({ length: count }, (_, index) => Math.round((index * (length - 1)) / (count - 1)));
}
