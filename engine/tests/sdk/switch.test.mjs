// pusher-js switches to another app, as `switchCluster` does it, with a host of one's own: it goes to that app, at the same
// host, with all its channels.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Clients, emitted, fence, publisherOf, received, state, subscribed } from "./clients.mjs";
import { Server } from "./server.mjs";

const OTHER = { appId: "7003", key: "switched-key", secret: "switched-secret" };

let server;
let clients;

before(async () => {
  server = await Server.start("--app", `${OTHER.appId}:${OTHER.key}:${OTHER.secret}`);
  clients = new Clients(server);
});

after(async () => {
  clients?.disconnect();
  await server?.stop();
});

test("a client that switches is in the other app with all its channels, and hears nothing of the first", async () => {
  const [first, other] = [publisherOf(server), publisherOf(server, OTHER)];
  let back = first;
  const authorize = ({ socketId, channelName }, done) => done(null, back.authorizeChannel(socketId, channelName));
  const client = await clients.connect({ authorize });
  const before = client.connection.socket_id;
  const channels = await Promise.all(["switched", "private-switched"].map((name) => subscribed(client, name)));
  const news = channels.map((channel) => received(channel, "news"));
  await first.trigger(["switched", "private-switched"], "news", { of: "first" });
  await fence(first, ...channels);
  back = other;
  const again = channels.map((channel) => emitted(channel, "pusher:subscription_succeeded"));
  client.switchCluster({ appKey: OTHER.key, cluster: "elsewhere" });
  await Promise.all(again);
  await state(client, "connected");
  assert.notEqual(client.connection.socket_id, before);
  await first.trigger(["switched", "private-switched"], "news", { of: "first, too late" });
  await other.trigger(["switched", "private-switched"], "news", { of: "other" });
  await fence(other, ...channels);
  for (const list of news) assert.deepEqual(list, [{ of: "first" }, { of: "other" }]);
  const left = async () => (await first.get({ path: "/channels" })).json();
  let answer = await left();
  for (const end = Date.now() + 15_000; Object.keys(answer.channels).length > 0 && Date.now() < end; answer = await left());
  assert.deepEqual(answer, { channels: {} });
});
