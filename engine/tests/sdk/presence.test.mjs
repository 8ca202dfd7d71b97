// Presence channels in pusher-js: members come and go by user, however many connections a user has.

import assert from "node:assert/strict";
import { test } from "node:test";
import { emitted, fence, received, subscribed, taken, until } from "./clients.mjs";
import { clients, publisher } from "./stage.mjs";

const ANN = { user_id: "ann", user_info: { name: "Ann «ü»", roles: ["admin", null] } };
const BOB = { user_id: "bob", user_info: { name: "Bob" } };

test("the first member sees itself", async () => {
  const channel = await subscribed(await clients.connect({ user: ANN }), "presence-alone");
  assert.equal(channel.members.count, 1);
  assert.deepEqual(channel.members.me, { id: "ann", info: ANN.user_info });
  assert.deepEqual(channel.members.members, { ann: ANN.user_info });
});

test("members see each other come and go", async () => {
  const ann = await subscribed(await clients.connect({ user: ANN }), "presence-room");
  const added = received(ann, "pusher:member_added");
  const removed = received(ann, "pusher:member_removed");
  const visitor = await clients.connect({ user: BOB });
  const bob = await subscribed(visitor, "presence-room");
  assert.deepEqual(bob.members.members, { ann: ANN.user_info, bob: BOB.user_info });
  assert.deepEqual(await taken(added, 1), [{ id: "bob", info: BOB.user_info }]);
  assert.equal(ann.members.count, 2);
  visitor.unsubscribe("presence-room");
  assert.deepEqual(await taken(removed, 1), [{ id: "bob", info: BOB.user_info }]);
  assert.equal(ann.members.count, 1);
});

test("a member whose connection ends is removed", async () => {
  const ann = await subscribed(await clients.connect({ user: ANN }), "presence-ending");
  const removed = received(ann, "pusher:member_removed");
  const visitor = await clients.connect({ user: BOB });
  await subscribed(visitor, "presence-ending");
  visitor.disconnect();
  assert.deepEqual(await taken(removed, 1), [{ id: "bob", info: BOB.user_info }]);
});

test("the joiner is not told of itself", async () => {
  const client = await clients.connect({ user: ANN });
  const channel = client.subscribe("presence-joiner");
  const added = received(channel, "pusher:member_added");
  await subscribed(client, "presence-joiner");
  await fence(publisher, channel);
  assert.deepEqual(added, []);
});

test("a user with several connections is one member until the last of them leaves", async () => {
  const ann = await subscribed(await clients.connect({ user: ANN }), "presence-twice");
  const added = received(ann, "pusher:member_added");
  const removed = received(ann, "pusher:member_removed");
  const devices = await Promise.all(Array.from({ length: 6 }, () => clients.connect({ user: BOB })));
  for (const device of devices) {
    const channel = await subscribed(device, "presence-twice");
    assert.equal(channel.members.count, 2);
  }
  await fence(publisher, ann);
  assert.deepEqual(added, [{ id: "bob", info: BOB.user_info }]);
  const last = devices.pop();
  for (const device of devices) device.disconnect();
  await until(() => devices.every((device) => device.connection.state === "disconnected"), () => "still there");
  await fence(publisher, ann, last.channel("presence-twice"));
  assert.deepEqual(removed, []);
  last.disconnect();
  assert.deepEqual(await taken(removed, 1), [{ id: "bob", info: BOB.user_info }]);
  await fence(publisher, ann);
  assert.deepEqual(removed, []);
});

test("a user that comes back is added again", async () => {
  const ann = await subscribed(await clients.connect({ user: ANN }), "presence-again");
  const added = received(ann, "pusher:member_added");
  const removed = received(ann, "pusher:member_removed");
  for (let round = 0; round < 5; round += 1) {
    const visitor = await clients.connect({ user: BOB });
    await subscribed(visitor, "presence-again");
    assert.equal((await taken(added, 1))[0].id, "bob");
    visitor.disconnect();
    assert.equal((await taken(removed, 1))[0].id, "bob");
  }
});

test("ids that are numbers arrive as strings", async () => {
  const signer = { user_id: 0, user_info: {} };
  const channel = await subscribed(await clients.connect({ user: signer }), "presence-numbers");
  await subscribed(await clients.connect({ user: { user_id: 1 } }), "presence-numbers");
  await until(() => channel.members.count === 2, () => `count is ${channel.members.count}`);
  assert.deepEqual(Object.keys(channel.members.members).sort(), ["0", "1"]);
  assert.equal(channel.members.myID, 0);
});

test("all members agree on a room of thirty", async () => {
  const users = Array.from({ length: 30 }, (_, index) => ({ user_id: `user-${index}`, user_info: { index } }));
  const crowd = await Promise.all(users.map((user) => clients.connect({ user })));
  const channels = await Promise.all(crowd.map((client) => subscribed(client, "presence-crowd")));
  const wanted = Object.fromEntries(users.map(({ user_id, user_info }) => [user_id, user_info]));
  for (const channel of channels) {
    await until(() => channel.members.count === 30, () => `count is ${channel.members.count}`);
    assert.deepEqual(channel.members.members, wanted);
  }
});

test("a member without a signed identity is refused", async () => {
  const authorize = ({ socketId, channelName }, done) => {
    const { auth } = publisher.authorizeChannel(socketId, channelName, ANN);
    done(null, { auth, channel_data: JSON.stringify(BOB) });
  };
  const client = await clients.connect({ authorize });
  await emitted(client.subscribe("presence-forged"), "pusher:subscription_error");
  assert.equal(client.connection.state, "connected");
});

test("a client event names its sender by the verified user_id", async () => {
  const sender = await subscribed(await clients.connect({ user: ANN }), "presence-chat");
  const receiver = await subscribed(await clients.connect({ user: BOB }), "presence-chat");
  const own = received(sender, "client-typing");
  const arrival = emitted(receiver, "client-typing");
  sender.trigger("client-typing", { user_id: "mallory" });
  const [data, metadata] = await arrival;
  assert.deepEqual(data, { user_id: "mallory" });
  assert.equal(metadata.user_id, "ann");
  await fence(publisher, sender, receiver);
  assert.deepEqual(own, []);
});
