// The rules of push.js that no browser is needed for: when it comes back and how, what it sends, what it makes of what it
// hears. Time, sockets and requests are in the hands of the test; push.js is what the built server serves.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import vm from "node:vm";

import { Server } from "./server.mjs";

let source;
let server;

before(async () => {
  server = await Server.start("--assets");
  source = await (await fetch(`http://${server.host}:${server.port}/plugin/workbunny/webman-push-server/push.js`)).text();
});

after(() => server.stop());

test("CommonJS, an import and a plain script all give the class", async () => {
  const module = { exports: {} };
  vm.runInNewContext(source, { module });
  assert.equal(module.exports.name, "Push");
  assert.equal(module.exports.default, module.exports);
  const script = vm.createContext({});
  vm.runInContext(source, script);
  assert.equal(script.Push.name, "Push");
  // A module of a page has no exports of it: it is a global, as for a script.
  await import(`data:text/javascript,${encodeURIComponent(source)}`);
  assert.equal(globalThis.Push.name, "Push");
  delete globalThis.Push;
});

test("url and key are needed, and one path is made of them", () => {
  const world = new World();
  assert.throws(() => new world.Push({ app_key: "k" }), /url/);
  assert.throws(() => new world.Push({ url: "ws://h" }), /app_key/);
  for (const url of ["ws://h:1", "ws://h:1/", "http://h:1"]) {
    world.push({ url });
    assert.equal(world.socket.url, "ws://h:1/app/key");
  }
});

test("close codes say whether, and when, it comes back", () => {
  for (const [code, least, most] of [
    [4000, null, null], [4001, null, null], [4009, null, null], [4099, null, null],
    [4100, 1000, 2000], [4199, 1000, 2000],
    [4200, 0, 0], [4201, 0, 0], [4299, 0, 0],
    [4300, 1000, 2000], [1000, 1000, 2000], [1006, 1000, 2000], [1001, 1000, 2000],
  ]) {
    const world = new World();
    const push = world.connected();
    const told = heard(push, "disconnected");
    world.socket.close(code, "why");
    const { retry_in } = told[0];
    assert.deepEqual(plain(told[0]), { code, reason: "why", retry_in });
    if (least === null) assert.equal(retry_in, null, `${code}`);
    else assert.ok(retry_in >= least && retry_in <= most, `${code}: ${retry_in}`);
    const before = world.sockets.length;
    if (least > 0) {
      world.pass(retry_in - 1);
      assert.equal(world.sockets.length, before, `${code} came back early`);
      world.pass(1);
    } else {
      world.pass(least === null ? 3_600_000 : 0);
    }
    assert.equal(world.sockets.length, least === null ? before : before + 1, `${code}`);
  }
});

test("pauses double, differ from client to client, and have an end", () => {
  const pauses = Array.from({ length: 20 }, () => {
    const world = new World();
    const told = heard(world.push(), "disconnected");
    for (let round = 0; round < 8; round += 1) {
      world.socket.close(1006, "");
      world.pass(told.at(-1).retry_in);
    }
    return told.map(({ retry_in }) => retry_in);
  });
  for (const round of [0, 1, 2, 3]) {
    for (const pause of pauses.map((all) => all[round])) assert.ok(pause >= 1000 * 2 ** round && pause <= 2000 * 2 ** round, `${pause}`);
    assert.ok(new Set(pauses.map((all) => all[round])).size > 1);
  }
  assert.ok(pauses.every((all) => all.at(-1) >= 15_000 && all.at(-1) <= 30_000));
});

test("coming back at once is for a connection that stood", () => {
  const world = new World();
  const told = heard(world.connected(), "disconnected");
  world.socket.close(4200, "");
  world.pass(0);
  world.socket.close(4200, "");
  assert.equal(told[0].retry_in, 0);
  assert.ok(told[1].retry_in >= 1000);
  world.pass(told[1].retry_in);
  world.socket.establish("3.3");
  world.socket.close(4200, "");
  assert.equal(told[2].retry_in, 0);
});

test("a refusal that leaves the connection open is as good as a close", () => {
  const world = new World();
  const push = world.push();
  const errors = heard(push, "error");
  const told = heard(push, "disconnected");
  world.socket.say("pusher:error", { code: 4001, message: "no such app" });
  assert.deepEqual([errors.length, told.length, told[0].code, told[0].retry_in], [1, 1, 4001, null]);
  assert.ok(world.socket.closed);
  // Once it stands, an error is only told.
  const other = new World();
  const more = heard(other.connected(), "disconnected");
  other.socket.say("pusher:error", { code: 4301, message: "slower" });
  assert.equal(more.length, 0);
});

test("it pings, and comes back where nothing answers", () => {
  const world = new World();
  const push = world.connected({ heartbeat: 5_000, pingTimeout: 2_000 });
  const told = heard(push, "disconnected");
  world.pass(5_000);
  assert.deepEqual(world.socket.sent.at(-1), { event: "pusher:ping", data: {} });
  world.socket.say("pusher:pong");
  world.pass(4_999);
  assert.equal(told.length, 0);
  world.pass(1);
  // Whatever comes is a sign of life.
  world.socket.say("e", "x", "nowhere");
  world.pass(4_999);
  assert.equal(told.length, 0);
  world.pass(2_001);
  assert.deepEqual([told.length, told[0].code, told[0].retry_in], [1, 4201, 0]);
  assert.ok(world.sockets[0].closed && !world.socket.closed && world.sockets.length === 2);
});

test("a server that never answers is left, and its later words are not heard", () => {
  const world = new World();
  const push = world.push({ pingTimeout: 2_000 });
  const first = world.socket;
  world.pass(2_000);
  assert.ok(first.closed);
  first.establish("1.1");
  first.close(4001, "late");
  assert.equal(push.state, "connecting");
  world.socket.establish("2.2");
  assert.deepEqual([push.state, push.socket_id], ["connected", "2.2"]);
});

test("the server's activity timeout shortens the heartbeat, and its ping is answered", () => {
  const world = new World();
  world.push();
  world.socket.say("pusher:connection_established", { socket_id: "1.1", activity_timeout: 3 });
  world.pass(3_000);
  assert.equal(world.socket.sent.at(-1).event, "pusher:ping");
  world.socket.say("pusher:ping", "{}");
  assert.equal(world.socket.sent.at(-1).event, "pusher:pong");
});

test("a page that wakes comes back without its pause, unless the server has asked for patience", () => {
  const world = new World();
  const push = world.connected();
  world.socket.close(1006, "");
  world.wake();
  assert.equal(world.sockets.length, 2);
  world.socket.establish("2.2");
  // A connection that may have died unnoticed is asked.
  world.wake();
  assert.equal(world.socket.sent.at(-1).event, "pusher:ping");
  world.socket.close(4100, "over capacity");
  world.wake();
  assert.equal(world.sockets.length, 2);
  world.pass(2_000);
  assert.equal(world.sockets.length, 3);
  push.disconnect();
  assert.equal(world.wakers.size, 0);
});

test("disconnect ends it for good, and connect begins anew", () => {
  const world = new World();
  const push = world.connected();
  const told = heard(push, "disconnected");
  push.disconnect();
  push.disconnect();
  assert.ok(world.socket.closed);
  assert.deepEqual(plain(told), [{ code: 1000, reason: "", retry_in: null }]);
  world.pass(3_600_000);
  assert.deepEqual([world.sockets.length, push.state], [1, "disconnected"]);
  push.connect();
  world.socket.establish("2.2");
  assert.equal(push.state, "connected");
  // One that waits is ended as well.
  world.socket.close(1006, "");
  push.disconnect();
  world.pass(3_600_000);
  assert.equal(world.sockets.length, 2);
});

test("states are told in their order", () => {
  const world = new World();
  const push = world.push();
  const changes = heard(push, "state_change");
  const connected = heard(push, "connected");
  assert.equal(push.connection.state, "connecting");
  world.socket.establish("1.1");
  world.socket.close(4200, "");
  world.pass(0);
  assert.deepEqual(changes.map(({ previous, current }) => `${previous} ${current}`), ["connecting connected", "connected disconnected", "disconnected connecting"]);
  assert.deepEqual(plain(connected), [{ socket_id: "1.1" }]);
});

test("data comes as text or as it is", () => {
  const world = new World();
  const push = world.connected();
  const channel = push.subscribe("news");
  const got = heard(channel, "e");
  world.socket.say("pusher_internal:subscription_succeeded", "{}", "news");
  for (const data of ['{"a":1}', { a: 1 }, "plain", '"quoted"', "[1]", null, undefined]) world.socket.say("e", data, "news");
  assert.deepEqual(plain(got), [{ a: 1 }, { a: 1 }, "plain", "quoted", [1], null, undefined]);
  // Object frames connect as well, and none of these ends anything.
  world.socket.hear("no JSON");
  world.socket.hear("null");
  world.socket.hear("[]");
  world.socket.say(7, {}, "news");
  world.socket.say("pusher_internal:unsubscription_succeeded", {}, "news");
  world.socket.say("pusher_internal:member_added", { user_id: "1" }, "news");
  const counts = heard(channel, "pusher:subscription_count");
  world.socket.say("pusher_internal:subscription_count", '{"subscription_count":2}', "news");
  assert.deepEqual(plain(counts), [{ subscription_count: 2 }]);
  world.push();
  world.socket.say("pusher:connection_established", { socket_id: "9.9" });
  assert.equal(push.state, "connected");
});

test("channels are subscribed again after a loss, and left ones are not", () => {
  const world = new World();
  const push = world.connected();
  push.subscribe("a");
  push.subscribe("b");
  assert.equal(push.subscribe("a"), push.subscribe("a"));
  push.unsubscribe("b");
  push.unsubscribe("never");
  assert.deepEqual(world.socket.told(), ["pusher:subscribe a", "pusher:subscribe b", "pusher:unsubscribe b"]);
  world.socket.close(4200, "");
  world.pass(0);
  world.socket.establish("2.2");
  assert.deepEqual(world.socket.told(), ["pusher:subscribe a"]);
  push.subscribe("c");
  push.unsubscribeAll();
  assert.deepEqual(world.socket.told().slice(1), ["pusher:subscribe c", "pusher:unsubscribe a", "pusher:unsubscribe c"]);
  assert.equal(push.channels.size, 0);
});

test("what answers an earlier request for a channel is not taken for the answer to a later one", () => {
  const world = new World();
  const push = world.connected({ auth: "/auth" });
  push.subscribe("private-a");
  world.answer(200, { auth: "key:s" });
  push.unsubscribe("private-a");
  const again = push.subscribe("private-a").trigger("client-a", 1);
  const succeeded = heard(again, "pusher:subscription_succeeded");
  world.socket.say("pusher_internal:subscription_succeeded", "{}", "private-a");
  assert.deepEqual([succeeded.length, world.socket.told().length], [0, 2]);
  world.answer(200, { auth: "key:s" });
  world.socket.say("pusher_internal:subscription_succeeded", "{}", "private-a");
  assert.deepEqual([succeeded.length, world.socket.sent.at(-1).event], [1, "client-a"]);
});

test("handlers come and go", () => {
  const world = new World();
  const channel = world.connected().subscribe("a");
  const got = [];
  const one = (data) => got.push(`one ${data}`);
  const two = (data) => got.push(`two ${data}`);
  channel.on("e", one).on("e", two).on("f", one);
  world.socket.say("e", "1", "a");
  channel.off("e", one);
  world.socket.say("e", "2", "a");
  channel.off("e");
  world.socket.say("e", "3", "a");
  world.socket.say("f", "4", "a");
  channel.off().on("*", (data, { event }) => got.push(`all ${event} ${data}`));
  world.socket.say("f", "5", "a");
  channel.off();
  world.socket.say("f", "6", "a");
  assert.deepEqual(got, ["one 1", "two 1", "two 2", "one 4", "all f 5"]);
});

test("a handler that throws is reported and stops nobody", () => {
  const world = new World();
  const channel = world.connected().subscribe("a");
  channel.on("e", () => { throw new Error("mine"); });
  const got = heard(channel, "e");
  world.socket.say("e", "1", "a");
  assert.deepEqual(plain(got), [1]);
  assert.throws(() => world.pass(0), /mine/);
});

test("client events need their prefix, and wait for the subscription", () => {
  const world = new World();
  const push = world.connected({ auth: "/auth" });
  const channel = push.subscribe("private-a");
  assert.throws(() => channel.trigger("message", {}), /client-/);
  for (let number = 0; number < 102; number += 1) channel.trigger("client-n", { number });
  assert.deepEqual(world.socket.told(), []);
  world.answer(200, { auth: "key:signature" });
  world.socket.say("pusher_internal:subscription_succeeded", "{}", "private-a");
  const sent = world.socket.sent.filter(({ event }) => event === "client-n");
  assert.deepEqual([sent.length, sent[0].data.number, sent.at(-1).data.number], [100, 2, 101]);
  channel.trigger("client-now", { text: "hi" });
  assert.deepEqual(world.socket.sent.at(-1), { event: "client-now", data: { text: "hi" }, channel: "private-a" });
  world.socket.close(4200, "");
  channel.trigger("client-later", {});
  world.pass(0);
  world.socket.establish("2.2");
  world.answer(200, { auth: "key:other" });
  assert.deepEqual(world.socket.told(), ["pusher:subscribe private-a"]);
  world.socket.say("pusher_internal:subscription_succeeded", "{}", "private-a");
  assert.equal(world.socket.sent.at(-1).event, "client-later");
});

test("a private channel is asked for in a form, and only what is signed goes on", () => {
  const world = new World();
  const push = world.connected({ auth: "/auth", auth_headers: { "X-Csrf": "t" } });
  push.subscribe("private-a b");
  assert.deepEqual(plain(world.asked.at(-1)), { url: "/auth", body: "channel_name=private-a%20b&socket_id=1.1", headers: { "X-Csrf": "t" } });
  world.answer(200, { auth: "key:signature", channel_data: { user_id: "100" }, shared_secret: "never" });
  assert.deepEqual(world.socket.sent.at(-1).data, { channel: "private-a b", auth: "key:signature" });
  push.subscribe("private-b");
  world.answer(200, { auth: "key:signature", channel_data: "{\"user_id\":\"1\"}" });
  assert.deepEqual(world.socket.sent.at(-1).data, { channel: "private-b", auth: "key:signature", channel_data: "{\"user_id\":\"1\"}" });
});

test("a presence channel has the user of the endpoint, of the page, or of the channel", () => {
  const mine = { user_id: "1", user_info: "ann" };
  const world = new World();
  const push = world.connected({ auth: "/auth" });
  push.subscribe("presence-a");
  assert.equal(world.asked.at(-1).body, "channel_name=presence-a&socket_id=1.1");
  world.answer(200, { auth: "key:signature", channel_data: { user_id: 100 } });
  assert.deepEqual(world.socket.sent.at(-1).data, { channel: "presence-a", auth: "key:signature", channel_data: { user_id: 100 } });
  push.subscribe("presence-b", { channel_data: mine });
  assert.ok(world.asked.at(-1).body.endsWith(`&channel_data=${encodeURIComponent(JSON.stringify(mine))}`));
  world.answer(200, { auth: "key:signature" });
  assert.equal(world.socket.sent.at(-1).data.channel_data, JSON.stringify(mine));
  for (const channel_data of [mine, JSON.stringify(mine)]) {
    world.connected({ auth: "/auth", channel_data }).subscribe("presence-c");
    assert.ok(world.asked.at(-1).body.endsWith(`&channel_data=${encodeURIComponent(JSON.stringify(mine))}`));
  }
});

test("members are those of the server, and their changes are told", () => {
  const world = new World();
  const channel = world.connected({ auth: "/auth" }).subscribe("presence-a");
  const seen = [];
  channel.on("pusher:subscription_succeeded", (members) => seen.push(`${members.count} ${members.me.id} ${members.me.info}`));
  channel.on("pusher:member_added", ({ id, info }) => seen.push(`+${id} ${info.name} ${channel.members.count}`));
  channel.on("pusher:member_removed", ({ id, info }) => seen.push(`-${id} ${info.name} ${channel.members.count}`));
  world.answer(200, { auth: "key:s", channel_data: "{\"user_id\":7}" });
  world.socket.say("pusher_internal:subscription_succeeded", { presence: { count: 2, ids: ["7", "8"], hash: { 7: "me", 8: "other" } } }, "presence-a");
  world.socket.say("pusher_internal:member_added", '{"user_id":"9","user_info":{"name":"bo"}}', "presence-a");
  world.socket.say("pusher_internal:member_removed", '{"user_id":"9"}', "presence-a");
  world.socket.say("pusher_internal:member_removed", '{"user_id":"9"}', "presence-a");
  assert.deepEqual(seen, ["2 7 me", "+9 bo 3", "-9 bo 2"]);
  const ids = [];
  channel.members.each(({ id }) => ids.push(id));
  assert.deepEqual(ids, ["7", "8"]);
});

test("a refused authorization is an error of channel and connection, and is tried again where the endpoint is out of order", () => {
  const world = new World();
  const push = world.connected({ auth: "/auth", heartbeat: 0 });
  const channel = push.subscribe("private-a");
  const [errors, refusals] = [heard(push, "error"), heard(channel, "pusher:subscription_error")];
  world.answer(403, "no");
  assert.deepEqual([errors[0].channel, errors[0].status, refusals[0].type, refusals[0].status], ["private-a", 403, "AuthError", 403]);
  world.pass(60_000);
  assert.equal(world.asked.length, 1);
  push.subscribe("private-b");
  world.answer(502, "");
  world.pass(30_000);
  assert.equal(world.asked.length, 3);
  world.answer(200, { auth: "key:s" });
  assert.deepEqual(world.socket.told(), ["pusher:subscribe private-b"]);
  // Nobody is told twice, and what was left meanwhile is not subscribed.
  push.subscribe("private-c");
  push.unsubscribe("private-c");
  world.answer(200, { auth: "key:s" });
  assert.deepEqual(world.socket.told(), ["pusher:subscribe private-b"]);
  const without = world.connected();
  const missing = heard(without, "error");
  without.subscribe("private-d");
  assert.match(missing[0].message, /private-d.*auth/);
});

test("a channel that the server refuses is told so, and there is nothing to leave", () => {
  const world = new World();
  const push = world.connected();
  const refusals = heard(push.subscribe("a b"), "pusher:subscription_error");
  world.socket.say("pusher:subscription_error", { type: "InvalidChannel", error: "no", status: 400 }, "a b");
  push.unsubscribe("a b");
  assert.deepEqual([refusals[0].error, world.socket.told()], ["no", ["pusher:subscribe a b"]]);
});

test("an error without a handler is warned of", () => {
  const world = new World();
  world.connected();
  world.socket.say("pusher:error", { code: null, message: "odd" });
  assert.deepEqual(world.warnings, ["push.js: odd"]);
});

/** push.js with a clock, sockets and requests of its own. */
class World {
  sockets = [];
  asked = [];
  wakers = new Set();
  warnings = [];
  #now = 0;
  #timers = new Map();
  #numbers = 0;

  constructor() {
    const module = { exports: {} };
    const start = (act, ms, every) => {
      this.#numbers += 1;
      this.#timers.set(this.#numbers, { act, at: this.#now + (ms || 0), every });
      return this.#numbers;
    };
    vm.runInNewContext(source, {
      module,
      console: { warn: (...said) => this.warnings.push(said.join(" ")) },
      setTimeout: (act, ms) => start(act, ms),
      setInterval: (act, ms) => start(act, ms, ms),
      clearTimeout: (number) => { this.#timers.delete(number); },
      clearInterval: (number) => { this.#timers.delete(number); },
    });
    this.Push = module.exports;
    this.Push.platform = {
      connect: (url, hear, end) => {
        this.sockets.push(new FakeSocket(url, hear, end));
        return this.socket;
      },
      post: (url, body, headers, done) => { this.asked.push({ url, body, headers, done }); },
      onWake: (wake) => {
        this.wakers.add(wake);
        return () => this.wakers.delete(wake);
      },
    };
  }

  get socket() {
    return this.sockets.at(-1);
  }

  push(options) {
    return new this.Push({ url: "ws://h", app_key: "key", ...options });
  }

  connected(options) {
    const push = this.push(options);
    this.socket.establish("1.1");
    return push;
  }

  /** The endpoint's answer to the last request. */
  answer(status, body) {
    this.asked.at(-1).done(status, typeof body === "string" ? body : JSON.stringify(body));
  }

  wake() {
    this.wakers.forEach((wake) => wake());
  }

  pass(ms) {
    const end = this.#now + ms;
    for (;;) {
      const [number, next] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (next === undefined || next.at > end) break;
      this.#now = next.at;
      if (next.every) next.at += next.every;
      else this.#timers.delete(number);
      next.act();
    }
    this.#now = end;
  }
}

class FakeSocket {
  sent = [];
  closed = false;

  constructor(url, hear, end) {
    Object.assign(this, { url, hear, end });
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  /** By the client without arguments, by the server with a code. */
  close(code, reason) {
    this.closed = true;
    if (code !== undefined) this.end(code, reason);
  }

  establish(socket_id) {
    this.say("pusher:connection_established", JSON.stringify({ socket_id, activity_timeout: 120 }));
  }

  say(event, data, channel) {
    this.hear(JSON.stringify({ event, data, channel }));
  }

  /** What was sent, in words. */
  told() {
    return this.sent.map(({ event, data }) => `${event} ${data.channel}`);
  }
}

/** All that is told of the event from now on. */
function heard(emitter, event) {
  const all = [];
  emitter.on(event, (data) => all.push(data));
  return all;
}

/** Values of another realm, to compare. */
function plain(value) {
  return Array.isArray(value) ? Array.from(value, plain) : value && JSON.parse(JSON.stringify(value));
}
