// A refused subscription in the browser SDKs: what is bound to the channel hears of it, and so does the connection.

import assert from "node:assert/strict";
import { test } from "node:test";
import Echo from "laravel-echo";
import PusherJs from "pusher-js";
import { APP } from "./server.mjs";
import { clientOptions, emitted, subscribed } from "./clients.mjs";
import { clients, server } from "./stage.mjs";

/** What pusher-js says of a subscription that the server refuses, and what its connection says. */
async function refusal(client, name) {
  const channel = client.subscribe(name);
  const onConnection = emitted(client.connection, "error");
  const [onChannel] = await emitted(channel, "pusher:subscription_error");
  const [{ data }] = await onConnection;
  assert.deepEqual(data, { code: null, message: onChannel.error });
  assert.equal(channel.subscribed, false);
  return onChannel;
}

test("a channel whose name is too long or no name hears so", async () => {
  const client = await clients.connect();
  const long = await refusal(client, "x".repeat(201));
  assert.deepEqual([long.type, long.status], ["LimitReached", 4009]);
  assert.match(long.error, /channel_name_bytes_max/);
  const bad = await refusal(client, "größe");
  assert.deepEqual([bad.type, bad.status], ["InvalidChannel", 400]);
  assert.equal(client.connection.state, "connected");
  await subscribed(client, "x".repeat(200));
});

test("a private channel with a bad signature hears so", async () => {
  const authorize = (_, done) => done(null, { auth: `${APP.key}:00` });
  const client = await clients.connect({ authorize });
  const { type, status, error } = await refusal(client, "private-refused");
  assert.deepEqual([type, status], ["AuthError", 401]);
  assert.match(error, /Invalid signature/);
});

test("a presence channel hears that its user is too large", async () => {
  const long = await clients.connect({ user: { user_id: "😀".repeat(129) } });
  const { type, status, error } = await refusal(long, "presence-refused");
  assert.deepEqual([type, status], ["LimitReached", 4301]);
  assert.match(error, /user_id_characters_max/);
  const longest = await clients.connect({ user: { user_id: "😀".repeat(128) } });
  assert.equal((await subscribed(longest, "presence-refused")).members.myID, "😀".repeat(128));
});

test("Laravel Echo calls the error handler of the channel", async () => {
  const options = { ...clientOptions(server), broadcaster: "pusher", key: APP.key, Pusher: PusherJs };
  const echo = new Echo(options);
  try {
    const told = await new Promise((resolve) => echo.channel("a b").error(resolve));
    assert.equal(told.type, "InvalidChannel");
  } finally {
    echo.disconnect();
  }
});
