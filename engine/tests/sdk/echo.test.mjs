// Laravel Echo, as a Laravel front end uses it, with pusher-js as its client.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Echo from "laravel-echo";
import PusherJs from "pusher-js";
import { clientOptions, publisherOf, state, until } from "./clients.mjs";
import { Nodes } from "./nodes.mjs";
import { APP } from "./server.mjs";

const ANN = { user_id: "1", user_info: { name: "Ann" } };
const BOB = { user_id: "2", user_info: { name: "Bob" } };

let server;
let publisher;
const echoes = [];

before(async () => {
  server = await Nodes.start();
  publisher = publisherOf(server);
});

after(async () => {
  for (const echo of echoes) echo.disconnect();
  await server.stop();
});

/** An Echo that has its socket id. */
async function connectedEcho(options) {
  const echo = new Echo({
    broadcaster: "pusher",
    key: APP.key,
    Pusher: PusherJs,
    ...clientOptions(server, options),
  });
  echoes.push(echo);
  await state(echo.connector.pusher, "connected");
  return echo;
}

/** Collects what a method such as `listen` or `here` hands to its callback. */
function collected(channel, method, ...names) {
  const list = [];
  channel[method](...names, (value) => list.push(value));
  return list;
}

async function subscription(channel) {
  let done = channel.subscription.subscribed;
  channel.subscribed(() => (done = true));
  await until(() => done, () => `not subscribed to ${channel.name}`);
}

async function arrived(list, wanted) {
  await until(() => list.length >= wanted.length, () => `got ${JSON.stringify(list)}`);
  assert.deepEqual(list.splice(0), wanted);
}

test("a public channel hears a broadcast class and a plain event", async () => {
  const channel = (await connectedEcho()).channel("orders");
  const shipped = collected(channel, "listen", "OrderShipped");
  const plain = collected(channel, "listen", ".order.changed");
  await subscription(channel);
  await publisher.trigger("orders", "App\\Events\\OrderShipped", { order: 1 });
  await publisher.trigger("orders", "order.changed", { order: 2 });
  await arrived(shipped, [{ order: 1 }]);
  await arrived(plain, [{ order: 2 }]);
});

test("a private channel hears broadcasts", async () => {
  const channel = (await connectedEcho()).private("orders.7");
  const shipped = collected(channel, "listen", "OrderShipped");
  await subscription(channel);
  await publisher.trigger("private-orders.7", "App\\Events\\OrderShipped", { order: 7 });
  await arrived(shipped, [{ order: 7 }]);
});

test("a refused private channel calls error and leaves the connection", async () => {
  const echo = await connectedEcho({ authorize: (_, done) => done(null, { auth: `${APP.key}:00` }) });
  const errors = collected(echo.private("refused"), "error");
  await until(() => errors.length > 0, () => "no error");
  assert.equal(echo.connector.pusher.connection.state, "connected");
});

test("a whisper reaches the others and not its sender", async () => {
  const [ann, bob] = [await connectedEcho(), await connectedEcho()].map((echo) => echo.private("chat"));
  const heard = [ann, bob].map((channel) => collected(channel, "listenForWhisper", "typing"));
  const marks = [ann, bob].map((channel) => collected(channel, "listen", ".mark"));
  await Promise.all([subscription(ann), subscription(bob)]);
  ann.whisper("typing", { name: "Ann" });
  await arrived(heard[1], [{ name: "Ann" }]);
  await publisher.trigger("private-chat", "mark", {});
  await arrived(marks[0], [{}]);
  assert.deepEqual(heard[0], []);
});

test("a presence channel says who is here, joins and leaves", async () => {
  const room = (await connectedEcho({ user: ANN })).join("room");
  const here = collected(room, "here");
  const joining = collected(room, "joining");
  const leaving = collected(room, "leaving");
  await arrived(here, [[ANN.user_info]]);
  const visitor = await connectedEcho({ user: BOB });
  const seen = collected(visitor.join("room"), "here");
  await arrived(seen, [[ANN.user_info, BOB.user_info]]);
  await arrived(joining, [BOB.user_info]);
  visitor.leave("room");
  await arrived(leaving, [BOB.user_info]);
});

test("a whisper in a presence channel reaches the others", async () => {
  const rooms = [];
  for (const user of [ANN, BOB]) rooms.push((await connectedEcho({ user })).join("whispering"));
  const heard = rooms.map((room) => collected(room, "listenForWhisper", "typing"));
  await Promise.all(rooms.map(subscription));
  rooms[1].whisper("typing", { name: "Bob" });
  await arrived(heard[0], [{ name: "Bob" }]);
});

test("a broadcast to others leaves out the socket id of its author", async () => {
  const [author, other] = [await connectedEcho(), await connectedEcho()];
  const channels = [author, other].map((echo) => echo.channel("posts"));
  const heard = channels.map((channel) => collected(channel, "listen", ".posted"));
  await Promise.all(channels.map(subscription));
  await publisher.trigger("posts", "posted", { post: 1 }, { socket_id: author.socketId() });
  await publisher.trigger("posts", "posted", { post: 2 });
  await arrived(heard[0], [{ post: 2 }]);
  await arrived(heard[1], [{ post: 1 }, { post: 2 }]);
});

test("a channel that was left hears nothing more", async () => {
  const echo = await connectedEcho();
  const left = echo.channel("left");
  const heard = collected(left, "listen", ".changed");
  await subscription(left);
  echo.leaveChannel("left");
  const staying = echo.channel("staying");
  const marks = collected(staying, "listen", ".mark");
  await subscription(staying);
  await publisher.trigger("left", "changed", {});
  await publisher.trigger("staying", "mark", {});
  await arrived(marks, [{}]);
  assert.deepEqual(heard, []);
});
