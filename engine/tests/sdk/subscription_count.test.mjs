// How many are subscribed to a channel, as pusher-js tells an application that asks for it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { emitted, fence, received, subscribed, taken, until } from "./clients.mjs";
import { clients, publisher } from "./stage.mjs";

const COUNT = "pusher:subscription_count";

for (const name of ["counted", "private-counted"]) {
  test(`subscribers of ${name} are told how many they are as others come and go`, async () => {
    const [first, second] = await Promise.all([clients.connect(), clients.connect()]);
    const channel = first.subscribe(name);
    const counts = received(channel, COUNT);
    await emitted(channel, "pusher:subscription_succeeded");
    assert.deepEqual(await taken(counts, 1), [{ subscription_count: 1 }]);
    const other = second.subscribe(name);
    const [told] = await emitted(other, COUNT);
    assert.deepEqual(told, { subscription_count: 2 });
    assert.deepEqual(await taken(counts, 1), [{ subscription_count: 2 }]);
    assert.deepEqual([channel.subscriptionCount, other.subscriptionCount], [2, 2]);
    second.unsubscribe(name);
    assert.deepEqual(await taken(counts, 1), [{ subscription_count: 1 }]);
    assert.equal(channel.subscriptionCount, 1);
  });
}

test("who subscribes to a presence channel is told its members and no number", async () => {
  const [ann, bob] = await Promise.all(["ann", "bob"].map((user_id) => clients.connect({ user: { user_id } })));
  const channel = await subscribed(ann, "presence-uncounted");
  const counts = received(channel, COUNT);
  await subscribed(bob, "presence-uncounted");
  await fence(publisher, channel);
  assert.deepEqual(counts, []);
  assert.equal(channel.members.count, 2);
});

test("everybody in a crowd knows the last number in the end", async () => {
  const crowd = await Promise.all(Array.from({ length: 30 }, () => clients.connect()));
  const channels = await Promise.all(crowd.map((client) => subscribed(client, "crowd")));
  const know = (number) => until(
    () => channels.every((channel) => !channel.subscribed || channel.subscriptionCount === number),
    () => `they know ${channels.map((channel) => channel.subscriptionCount)}, not ${number}`,
  );
  await know(30);
  for (const client of crowd.slice(10)) client.disconnect();
  channels.splice(10);
  await know(10);
});
