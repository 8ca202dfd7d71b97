// pusher-js connects, is told why it may not, stays while idle, and is let go when the server stops.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Clients, emitted, state, until } from "./clients.mjs";
import { Server, SHARDS } from "./server.mjs";

let server;
let clients;

before(async () => {
  server = await Server.start();
  clients = new Clients(server);
});

after(async () => {
  clients.disconnect();
  await server.stop();
});

test("a client gets a socket_id that names an existing shard of node 0", async () => {
  const client = await clients.connect();
  assert.match(client.connection.socket_id, /^\d+\.\d+$/);
  assert.ok(Number(client.connection.socket_id.split(".")[0]) < SHARDS);
});

test("two clients have different socket_ids", async () => {
  const [one, other] = await Promise.all([clients.connect(), clients.connect()]);
  assert.notEqual(one.connection.socket_id, other.connection.socket_id);
});

test("an unknown key is refused with 4001 and the client does not come back", async () => {
  const client = clients.open({ key: "no-such-key" });
  const [error] = await emitted(client.connection, "error");
  assert.equal(error.error.data.code, 4001);
  await until(
    () => ["disconnected", "failed"].includes(client.connection.state),
    () => `state is ${client.connection.state}`,
  );
  const states = [];
  client.connection.bind("state_change", ({ current }) => states.push(current));
  await sleep(1_500);
  assert.deepEqual(states, []);
});

test("an idle client stays connected because its pings are answered", async () => {
  const client = await clients.connect({ activityTimeout: 300, pongTimeout: 1_000 });
  const states = [];
  client.connection.bind("state_change", ({ current }) => states.push(current));
  const messages = [];
  client.connection.bind("message", ({ event }) => messages.push(event));
  await until(() => messages.filter((event) => event === "pusher:pong").length >= 3, () => `got ${messages}`);
  assert.deepEqual(states, []);
});

test("a disconnected client can connect again and gets a new socket_id", async () => {
  const client = await clients.connect();
  const first = client.connection.socket_id;
  client.disconnect();
  await state(client, "disconnected");
  client.connect();
  await state(client, "connected");
  assert.notEqual(client.connection.socket_id, first);
});

test("a server that stops closes its clients and exits with code 0", async () => {
  const stopping = await Server.start();
  const guests = new Clients(stopping);
  try {
    const crowd = await Promise.all(Array.from({ length: 8 }, () => guests.connect()));
    const left = Promise.all(crowd.map((client) => emitted(client.connection, "state_change")));
    await stopping.stop();
    for (const [{ previous }] of await left) assert.equal(previous, "connected");
  } finally {
    guests.disconnect();
  }
});

test("live and ready answer 200, an unknown path 404", async () => {
  assert.equal(await server.status("/live"), 200);
  assert.equal(await server.status("/ready"), 200);
  assert.equal(await server.status("/no-such-path"), 404);
});
