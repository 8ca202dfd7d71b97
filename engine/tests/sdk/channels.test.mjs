// Public, private and encrypted channels in pusher-js: who may subscribe, and what clients send each other.

import assert from "node:assert/strict";
import { test } from "node:test";
import { emitted, fence, publisherOf, received, subscribed, taken, until } from "./clients.mjs";
import { APP } from "./server.mjs";
import { clients, publisher, server } from "./stage.mjs";

test("a private channel delivers to those who are signed in to it", async () => {
  const channel = await subscribed(await clients.connect(), "private-orders");
  const arrival = emitted(channel, "changed");
  await publisher.trigger("private-orders", "changed", { order: 7 });
  assert.deepEqual((await arrival)[0], { order: 7 });
});

const REFUSED_AUTH = {
  "a wrong signature": `${APP.key}:${"0".repeat(64)}`,
  "a short signature": `${APP.key}:00`,
  "another app's key": `other-key:${"0".repeat(64)}`,
  "an auth without a colon": "nonsense",
  "an empty auth": "",
};

for (const [what, auth] of Object.entries(REFUSED_AUTH)) {
  test(`${what} gives a subscription_error and the connection stays`, async () => {
    const authorize = (_, done) => done(null, { auth });
    const client = await clients.connect({ authorize });
    const states = [];
    client.connection.bind("state_change", ({ current }) => states.push(current));
    const refused = client.subscribe("private-refused");
    const [error] = await emitted(refused, "pusher:subscription_error");
    assert.equal(error.type, "AuthError");
    const list = received(refused, "secret");
    const open = await subscribed(client, "refused-open");
    await publisher.trigger("private-refused", "secret", {});
    await fence(publisher, open);
    assert.equal(refused.subscribed, false);
    assert.deepEqual(list, []);
    assert.deepEqual(states, []);
  });
}

test("an auth for another socket_id, and one for another channel, are refused", async () => {
  const other = (await clients.connect()).connection.socket_id;
  const stolen = [
    (_, done) => done(null, publisher.authorizeChannel(other, "private-stolen")),
    ({ socketId }, done) => done(null, publisher.authorizeChannel(socketId, "private-other")),
  ];
  for (const authorize of stolen) {
    const client = await clients.connect({ authorize });
    await emitted(client.subscribe("private-stolen"), "pusher:subscription_error");
  }
});

test("an encrypted channel carries what only its clients can read", async () => {
  const sealing = publisherOf(server, { encryptionMasterKeyBase64: Buffer.alloc(32, 7).toString("base64") });
  const authorize = ({ socketId, channelName }, done) => done(null, sealing.authorizeChannel(socketId, channelName));
  const channel = await subscribed(await clients.connect({ authorize }), "private-encrypted-vault");
  const arrival = emitted(channel, "opened");
  await sealing.trigger("private-encrypted-vault", "opened", { combination: [1, 2, 3] });
  assert.deepEqual((await arrival)[0], { combination: [1, 2, 3] });
});

test("a client event reaches the other subscribers, and its sender does not receive it", async () => {
  const crowd = await Promise.all(Array.from({ length: 6 }, () => clients.connect()));
  const channels = await Promise.all(crowd.map((client) => subscribed(client, "private-chat")));
  const lists = channels.map((channel) => received(channel, "client-typing"));
  for (const [sender, channel] of channels.entries()) channel.trigger("client-typing", { sender });
  for (const [own, list] of lists.entries()) {
    const senders = (await taken(list, 5)).map(({ sender }) => sender).sort();
    assert.deepEqual(senders, [0, 1, 2, 3, 4, 5].filter((sender) => sender !== own));
  }
  await fence(publisher, ...channels);
  for (const list of lists) assert.deepEqual(list, []);
});

test("two client events in a row keep their own names and their order", async () => {
  const [sender, receiver] = await Promise.all([clients.connect(), clients.connect()]);
  const [from, to] = await Promise.all([sender, receiver].map((client) => subscribed(client, "private-names")));
  const names = [];
  to.bind_global((name) => name.startsWith("client-") && names.push(name));
  from.trigger("client-first", {});
  from.trigger("client-second", {});
  await until(() => names.length >= 2, () => `got ${names}`);
  assert.deepEqual(names, ["client-first", "client-second"]);
});

test("a client event may carry an object, a list, a string or a number", async () => {
  const [sender, receiver] = await Promise.all([clients.connect(), clients.connect()]);
  const [from, to] = await Promise.all([sender, receiver].map((client) => subscribed(client, "private-data")));
  const list = received(to, "client-data");
  const sent = [{ a: [1, { b: "«ü»" }] }, [1, 2], "text", 12.5];
  for (const data of sent) from.trigger("client-data", data);
  assert.deepEqual(await taken(list, sent.length), sent);
});

test("a client event on a public channel is refused and the connection stays", async () => {
  const [sender, receiver] = await Promise.all([clients.connect(), clients.connect()]);
  const [from, to] = await Promise.all([sender, receiver].map((client) => subscribed(client, "public-chat")));
  const list = received(to, "client-typing");
  const error = emitted(sender.connection, "error");
  from.trigger("client-typing", {});
  await error;
  await fence(publisher, from, to);
  assert.deepEqual(list, []);
  assert.equal(sender.connection.state, "connected");
});

test("a burst of client events past the limit is answered with 4301, never with a close", async () => {
  const [sender, receiver] = await Promise.all([clients.connect(), clients.connect()]);
  const [from, to] = await Promise.all([sender, receiver].map((client) => subscribed(client, "private-burst")));
  const list = received(to, "client-burst");
  const codes = [];
  sender.connection.bind("error", ({ data }) => codes.push(data.code));
  for (let index = 0; index < 60; index += 1) from.trigger("client-burst", { index });
  await until(() => list.length + codes.length >= 60, () => `${list.length} arrived, ${codes.length} refused`);
  assert.ok(list.length >= 10, `only ${list.length} arrived`);
  assert.ok(codes.length >= 1 && codes.every((code) => code === 4301), `refused with ${codes}`);
  assert.deepEqual(list, [...list].sort((one, other) => one.index - other.index));
  await fence(publisher, from, to);
  assert.equal(list.length + codes.length, 60);
  assert.equal(sender.connection.state, "connected");
});
