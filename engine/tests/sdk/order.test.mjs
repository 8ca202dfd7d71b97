// A publisher's events arrive at every connection in order, none lost, none twice: on one shard and across shards.
//
// Which shard is a channel's home shows nowhere outside. With three shards and two dozen channels each shard is home to
// some, but for one run in five thousand; each connection takes part from the shard that its socket_id names.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";
import { Clients, fence, publisherOf, subscribed, until } from "./clients.mjs";
import { NODES, Nodes } from "./nodes.mjs";
import { SHARDS } from "./server.mjs";

const CONNECTIONS = 20;
const CONNECTIONS_MAX = 100;
const BATCH = 10;
const EVENTS = 5_000;
const HOMES = SHARDS === 1 ? 1 : NODES === 1 ? 24 : 3;

let server;
let clients;
let publisher;
let crowd;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

before(async () => {
  server = await Nodes.start();
  clients = new Clients(server);
  publisher = publisherOf(server, { agent });
  crowd = await crowdOnEveryShard();
});

after(async () => {
  agent.destroy();
  clients.disconnect();
  await server.stop();
});

test("the socket_ids of the connections name every shard", () => {
  assert.deepEqual([...shardsOf(crowd)].sort(), Array.from({ length: SHARDS }, (_, shard) => shard));
});

for (let home = 0; home < HOMES; home += 1) {
  test(`${EVENTS} events arrive in order and once at each connection, channel ${home + 1} of ${HOMES}`, async () => {
    const name = `ordered-${home}`;
    const channels = await Promise.all(crowd.map((client) => subscribed(client, name)));
    const views = channels.map(view);
    await publishAll(name);
    await until(
      () => views.every(({ next, wrong }) => next === EVENTS || wrong),
      () => `arrived: ${views.map(({ next }) => next)}`,
      60_000,
    );
    // What came twice would come before the fence.
    await fence(publisher, ...channels);
    for (const client of crowd) client.unsubscribe(name);
    assert.deepEqual(views, views.map(() => ({ next: EVENTS, wrong: null })));
  });
}

/** Connects until every shard has a connection, and at least twenty. */
async function crowdOnEveryShard() {
  const all = [];
  while (all.length < CONNECTIONS || shardsOf(all).size < SHARDS) {
    assert.ok(all.length < CONNECTIONS_MAX, `${all.length} connections on shards ${[...shardsOf(all)]} only`);
    all.push(await clients.connect());
  }
  return all;
}

function shardsOf(all) {
  // The number of the node stands before it.
  return new Set(all.map((client) => Number(client.connection.socket_id.split(".")[0]) % 65_536));
}

/** What one connection has seen: the number it waits for, and the first that came instead of it. */
function view(channel) {
  const seen = { next: 0, wrong: null };
  channel.bind("counted", ({ number }) => {
    if (number === seen.next) seen.next += 1;
    else seen.wrong ??= { number, instead_of: seen.next };
  });
  return seen;
}

async function publishAll(channel) {
  for (let first = 0; first < EVENTS; first += BATCH) {
    const batch = Array.from({ length: BATCH }, (_, index) => ({
      channel,
      name: "counted",
      data: { number: first + index },
    }));
    await publisher.triggerBatch(batch);
  }
}
