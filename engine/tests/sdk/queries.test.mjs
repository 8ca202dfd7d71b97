// What the server SDK for Node can ask: which channels are occupied, by how many users, and who they are; and what it
// can do about a user.

import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { fence, publisherOf, subscribed } from "./clients.mjs";
import { clients, publisher, server } from "./stage.mjs";

async function asked(path, params) {
  const response = await publisher.get({ path, params });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type"), /^application\/json/);
  return response.json();
}

/** Members leave when their connections' ends are noticed, so a count is awaited. */
async function becomes(path, params, wanted) {
  let answer;
  const end = Date.now() + 15_000;
  do {
    answer = await asked(path, params);
    if (JSON.stringify(answer) === JSON.stringify(wanted)) return;
  } while (Date.now() < end);
  assert.deepEqual(answer, wanted);
}

test("an index without occupied channels is an empty object", async () => {
  assert.deepEqual(await asked("/channels", { filter_by_prefix: "nobody-" }), { channels: {} });
});

test("the index names the occupied channels, of all shards", async () => {
  const client = await clients.connect();
  const names = Array.from({ length: 40 }, (_, index) => `index-${index}`);
  await Promise.all(names.map((name) => subscribed(client, name)));
  const { channels } = await asked("/channels", { filter_by_prefix: "index-" });
  assert.deepEqual(channels, Object.fromEntries(names.map((name) => [name, {}])));
  const everything = await asked("/channels");
  for (const name of names) assert.deepEqual(everything.channels[name], {});
});

test("a channel leaves the index with its last subscriber", async () => {
  const [one, other] = await Promise.all([clients.connect(), clients.connect()]);
  await Promise.all([subscribed(one, "vacating"), subscribed(other, "vacating")]);
  one.unsubscribe("vacating");
  await subscribed(one, "vacating-fence");
  assert.deepEqual(await asked("/channels", { filter_by_prefix: "vacating" }), {
    channels: { vacating: {}, "vacating-fence": {} },
  });
  other.disconnect();
  await becomes("/channels", { filter_by_prefix: "vacating" }, { channels: { "vacating-fence": {} } });
});

test("the index counts the users of presence channels", async () => {
  for (const user_id of ["ann", "bob", "bob"]) {
    const client = await clients.connect({ user: { user_id } });
    await subscribed(client, "presence-counted");
  }
  const params = { filter_by_prefix: "presence-counted", info: "user_count" };
  assert.deepEqual(await asked("/channels", params), { channels: { "presence-counted": { user_count: 2 } } });
});

test("user_count without a presence prefix is refused with 400", async () => {
  await assert.rejects(publisher.get({ path: "/channels", params: { info: "user_count" } }), { status: 400 });
});

test("a channel answers if it is occupied, and never 404", async () => {
  await subscribed(await clients.connect(), "asked");
  assert.deepEqual(await asked("/channels/asked"), { occupied: true });
  assert.deepEqual(await asked("/channels/asked-nobody"), { occupied: false });
});

test("a channel with every permitted character can be asked for, percent-encoded", async () => {
  const name = "asked-A_z=@,.;";
  await subscribed(await clients.connect(), name);
  assert.deepEqual(await asked(`/channels/${encodeURIComponent(name)}`), { occupied: true });
});

test("a presence channel counts users, not connections", async () => {
  const devices = await Promise.all(Array.from({ length: 5 }, () => clients.connect({ user: { user_id: "ann" } })));
  await Promise.all(devices.map((device) => subscribed(device, "presence-devices")));
  await subscribed(await clients.connect({ user: { user_id: "bob" } }), "presence-devices");
  const path = "/channels/presence-devices";
  assert.deepEqual(await asked(path, { info: "user_count" }), { occupied: true, user_count: 2 });
  for (const device of devices) device.disconnect();
  await becomes(path, { info: "user_count" }, { occupied: true, user_count: 1 });
});

test("user_count of a public channel is refused with 400", async () => {
  const params = { info: "user_count" };
  await assert.rejects(publisher.get({ path: "/channels/asked", params }), { status: 400 });
});

test("the users of a presence channel are listed once each", async () => {
  const ids = ["ann", "bob", "42", "Zoë"];
  for (const user_id of [...ids, "ann"]) {
    await subscribed(await clients.connect({ user: { user_id } }), "presence-listed");
  }
  const { users } = await asked("/channels/presence-listed/users");
  assert.deepEqual(users.map(({ id }) => id).sort(), [...ids].sort());
});

test("a presence channel without members has an empty list of users", async () => {
  assert.deepEqual(await asked("/channels/presence-nobody/users"), { users: [] });
});

test("the users of a public channel are refused with 400", async () => {
  await assert.rejects(publisher.get({ path: "/channels/asked/users" }), { status: 400 });
});

test("terminating a user is answered, and closes nobody who is only in a presence channel", async () => {
  const client = await clients.connect({ user: { user_id: "ann" } });
  const channel = await subscribed(client, "presence-terminated");
  const response = await publisher.terminateUserConnections("ann");
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), {});
  await fence(publisher, channel);
  assert.equal(client.connection.state, "connected");
});

test("requests on a kept connection are answered in order", async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const keeping = publisherOf(server, { agent });
  const statuses = [];
  for (let index = 0; index < 50; index += 1) {
    const path = index % 2 === 0 ? "/channels/asked" : "/channels/presence-nobody/users";
    const answer = await (await keeping.get({ path })).json();
    statuses.push("users" in answer);
  }
  agent.destroy();
  assert.deepEqual(statuses, Array.from({ length: 50 }, (_, index) => index % 2 === 1));
});
