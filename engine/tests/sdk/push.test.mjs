// push.js in a real browser, as the pages of webman-push-server and webman/push use it: loaded from the path that they name,
// with their options and calls, against the built server and its sample endpoints; and behind nginx with TLS.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";

import { Browser } from "./browser.mjs";
import { publisherOf } from "./clients.mjs";
import { Proxy } from "./nginx.mjs";
import { APP, Server } from "./server.mjs";

// A page that is not in front draws nothing, so it is asked by the clock.
const PATIENCE = { timeout: 20_000, polling: 50 };

let server;
let publisher;
let browser;
const pages = [];

before(async () => {
  server = await Server.startDev();
  publisher = publisherOf(server);
  browser = await Browser.launch();
}, { timeout: 180_000 });

afterEach(() => Promise.all(pages.splice(0).map((page) => page.isClosed() || page.close())));

after(async () => {
  await browser?.close();
  await server.stop();
});

test("a public channel: its messages come, and none after it was left", async () => {
  const page = await open(`
    var connection = new Push({
      url: 'ws://HOST',
      app_key: 'KEY',
    });
    var user_channel = connection.subscribe('public-test');
    user_channel.on('message', function (data) { got.push(data); });
  `);
  await subscribed(page, "public-test");
  await publisher.trigger("public-test", "message", { content: "one" });
  await publisher.trigger("public-test", "message", "a text");
  await gets(page, [{ content: "one" }, "a text"]);
  await page.evaluate(() => connection.unsubscribe("public-test"));
  await unoccupied("public-test");
  await page.evaluate(() => connection.subscribe("public-other"));
  await page.evaluate(() => connection.subscribe("public-third"));
  await subscribed(page, "public-third");
  await page.evaluate(() => connection.unsubscribeAll());
  await unoccupied("public-other");
  await unoccupied("public-third");
  await publisher.trigger("public-test", "message", "late");
  // What is answered to this came behind it.
  await page.evaluate(() => connection.subscribe("public-last"));
  await subscribed(page, "public-last");
  await gets(page, [{ content: "one" }, "a text"]);
  assert.equal(await page.evaluate(() => connection.state), "connected");
});

test("a subscription that is left in the same breath leaves nothing behind", async () => {
  const page = await open(`
    var connection = new Push({
      url: 'ws://HOST',
      app_key: 'KEY',
      auth: 'http://HOST/subscribe/auth'
    });
    var user_channel = connection.subscribe('private-test');
    user_channel.on('message', function (data) { got.push(data); });
    connection.unsubscribe('private-test');
    connection.unsubscribeAll();
    connection.subscribe('public-after');
  `);
  await subscribed(page, "public-after");
  await unoccupied("private-test");
});

test("a private channel is authorized by the endpoint, in a form", async () => {
  const page = await open(`
    var connection = new Push({
      url: 'ws://HOST',
      app_key: 'KEY',
      auth: 'http://HOST/subscribe/auth'
    });
    var user_channel = connection.subscribe('private-test');
    user_channel.on('message', function (data) { got.push(data); });
  `);
  await subscribed(page, "private-test");
  await publisher.trigger("private-test", "message", { content: "for you" });
  await gets(page, [{ content: "for you" }]);
  await page.evaluate(() => connection.unsubscribe("private-test"));
  await unoccupied("private-test");
});

test("a presence channel without channel_data has the user of the endpoint", async () => {
  const page = await open(`
    var connection = new Push({
      url: 'ws://HOST',
      app_key: 'KEY',
      auth: 'http://HOST/subscribe/auth'
    });
    var user_channel = connection.subscribe('presence-test');
    user_channel.on('message', function (data) { got.push(data); });
  `);
  await subscribed(page, "presence-test");
  assert.deepEqual(await users("presence-test"), ["100"]);
  assert.deepEqual(await page.evaluate(() => [user_channel.members.count, user_channel.members.me.id]), [1, "100"]);
  await publisher.trigger("presence-test", "message", 7);
  await gets(page, [7]);
  await page.evaluate(() => connection.unsubscribeAll());
  await unoccupied("presence-test");
});

test("a presence channel has the user that the page names, and tells of the others", async () => {
  const snippet = (id) => `
    var channel_data = {
      user_id: '${id}',
      user_info: "{\\'name\\':\\'User ${id}\\',\\'sex\\':\\'unknown\\'}"
    }
    var connection = new Push({
      url: 'ws://HOST',
      app_key: 'KEY',
      auth: 'http://HOST/subscribe/auth',
      channel_data: channel_data
    });
    var user_channel = connection.subscribe('presence-room');
    user_channel.on('pusher:member_added', function (member) { got.push('+' + member.id); });
    user_channel.on('pusher:member_removed', function (member) { got.push('-' + member.id); });
  `;
  const first = await open(snippet(100));
  await subscribed(first, "presence-room");
  const second = await open(snippet(200));
  await subscribed(second, "presence-room");
  assert.deepEqual(await users("presence-room"), ["100", "200"]);
  await gets(first, ["+200"]);
  assert.deepEqual(
    await second.evaluate(() => { const ids = []; user_channel.members.each((member) => ids.push(`${member.id} ${member.info}`)); return ids.sort(); }),
    ["100 {'name':'User 100','sex':'unknown'}", "200 {'name':'User 200','sex':'unknown'}"],
  );
  await second.evaluate(() => connection.disconnect());
  await gets(first, ["+200", "-200"]);
});

test("the older form, with channel_data beside the name of the channel, works too", async () => {
  const page = await open(`
    var connection = new Push({
      url: 'ws://HOST',
      app_key: 'KEY',
      auth: '/subscribe/auth'
    });
    var uid = 1;
    var push = {
      channel_data : {
        user_id: 1,
        user_info: {
          name: 'SomeBody',
          sex: 'Unknown'
        }
      }
    };
    var user_channel = connection.subscribe('presence-group-' + uid, push);
  `);
  await subscribed(page, "presence-group-1");
  assert.deepEqual(await users("presence-group-1"), ["1"]);
  assert.deepEqual(await page.evaluate(() => user_channel.members.me), { id: "1", info: { name: "SomeBody", sex: "Unknown" } });
});

test("client events reach the others and not oneself, on private and presence channels", async () => {
  for (const channel of ["private-user-1", "presence-user-1"]) {
    const snippet = (id) => `
      var connection = new Push({
        url: 'ws://HOST',
        app_key: 'KEY',
        auth: 'http://HOST/subscribe/auth',
        channel_data: { user_id: '${id}', user_info: '{}' }
      });
      var user_channel = connection.subscribe('${channel}');
      user_channel.on('client-message', function (data) { got.push(data); });
    `;
    const listener = await open(snippet(1));
    await subscribed(listener, channel);
    // It is sent before the subscription is confirmed, as a page does that triggers at once.
    const sender = await open(`${snippet(2)} user_channel.trigger('client-message', {form_uid:2, content:"hello"});`);
    await gets(listener, [{ form_uid: 2, content: "hello" }]);
    await publisher.trigger(channel, "client-message", "from the back end");
    await gets(sender, ["from the back end"]);
    assert.match(await sender.evaluate(() => { try { user_channel.trigger("message", {}); } catch (error) { return error.message; } }), /client-/);
  }
});

test("each new Push is a connection of its own", async () => {
  const options = "{ url: 'ws://HOST', app_key: 'KEY' }";
  const page = await open(`
    var connection = new Push(${options});
    var another = new Push(${options});
    connection.subscribe('public-two').on('message', function (data) { got.push(['one', data]); });
    another.subscribe('public-two').on('message', function (data) { got.push(['two', data]); });
  `);
  await page.waitForFunction(() => [connection, another].every((push) => push.channels.get("public-two").subscribed), PATIENCE);
  assert.equal(await page.evaluate(() => connection.socket_id === another.socket_id), false);
  const { channels } = await (await publisher.trigger("public-two", "message", 1, { info: "subscription_count" })).json();
  assert.equal(channels["public-two"].subscription_count, 2);
  await page.waitForFunction(() => got.length === 2, PATIENCE);
  assert.deepEqual(await page.evaluate(() => got.sort()), [["one", 1], ["two", 1]]);
});

test("pages of webman/push: its path of push.js, its endpoint, channels without a prefix", async () => {
  const page = await open(`
    var connection = new Push({
      url: 'ws://HOST',
      app_key: 'KEY',
      auth: '/plugin/webman/push/auth'
    });
    var uid = 1;
    var user_channel = connection.subscribe('user-' + uid);
    user_channel.on('message', function (data) { got.push(data); });
    user_channel.on('friendApply', function (data) { got.push(data); });
    var private_channel = connection.subscribe('private-user-' + uid);
  `, "/plugin/webman/push/push.js");
  await subscribed(page, "user-1");
  await subscribed(page, "private-user-1");
  await publisher.trigger("user-1", "friendApply", { from_uid: 2 });
  await gets(page, [{ from_uid: 2 }]);
  assert.equal(await page.evaluate(() => connection.connection.state), "connected");
});

test("object data is read as well as text, for apps of each dialect", async () => {
  const folder = await mkdtemp(join(tmpdir(), "corecast-push-"));
  try {
    for (const dialect of ["webman2", "webman3", "pusher"]) {
      const file = join(folder, `${dialect}.toml`);
      const app = `[[apps]]\nid = "${APP.id}"\nkey = "${APP.key}"\nsecret = "${APP.secret}"\ndialect = "${dialect}"\n`;
      await writeFile(file, `assets = true\nsample_endpoints = true\nadmin = "off"\n${app}`);
      const one = await Server.start("--config", file);
      const page = await open(`
        var connection = new Push({ url: 'ws://HOST', app_key: 'KEY', auth: '/subscribe/auth' });
        connection.on('error', function (error) { got.push(error); });
        ['public-a', 'private-a', 'presence-a'].forEach(function (name) {
          connection.subscribe(name).on('message', function (data) { got.push([name, data]); });
        });
      `, undefined, one);
      const all = ["public-a", "private-a", "presence-a"];
      for (const name of all) await subscribed(page, name);
      assert.equal(await page.evaluate(() => connection.channels.get("presence-a").members.me.id), "100", dialect);
      for (const name of all) await publisherOf(one).trigger(name, "message", { content: name });
      await page.waitForFunction(() => got.length === 3, PATIENCE);
      assert.deepEqual((await page.evaluate(() => got)).sort(), all.map((name) => [name, { content: name }]).sort(), dialect);
      await page.close();
      await one.stop();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a key that is unknown is told and not tried again; a refused channel is told", async () => {
  const page = await open(`
    var connection = new Push({ url: 'ws://HOST', app_key: 'nobody' });
    connection.on('error', function (error) { got.push(error.code); });
    connection.on('disconnected', function (end) { got.push([end.code, end.retry_in]); });
  `);
  await gets(page, [4001, [4001, null]]);
  const other = await open(`
    var connection = new Push({ url: 'ws://HOST', app_key: 'KEY', auth: '/nothing/here' });
    connection.on('error', function (error) { got.push([error.channel, error.status]); });
    connection.subscribe('private-a').on('pusher:subscription_error', function (error) { got.push(error.type); });
  `);
  await gets(other, ["AuthError", ["private-a", 404]]);
});

test("a page that is shown again looks for its server at once", async () => {
  const first = await Server.startDev();
  const page = await open(`
    var connection = new Push({ url: 'ws://HOST', app_key: 'KEY', retryMin: 3600000, retryMax: 7200000 });
    connection.on('disconnected', function (end) { got.push(end.retry_in >= 3600000); });
    connection.subscribe('public-test');
  `, undefined, first);
  await subscribed(page, "public-test");
  first.child.kill("SIGKILL");
  await gets(page, [true]);
  const second = await Server.startDevAt(first.port);
  await page.evaluate(() => dispatchEvent(new Event("online")));
  await subscribed(page, "public-test");
  second.child.kill("SIGKILL");
  await gets(page, [true, true]);
  const third = await Server.startDevAt(first.port);
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await subscribed(page, "public-test");
  await third.stop();
});

test("a killed server is found again, with all its channels", async () => {
  const first = await Server.startDev();
  const page = await open(`
    var connection = new Push({ url: 'ws://HOST', app_key: 'KEY', auth: '/subscribe/auth' });
    connection.on('disconnected', function (end) { got.push(end.code); });
    ['public-a', 'private-a', 'presence-a'].forEach(function (name) {
      connection.subscribe(name).on('message', function (data) { got.push([name, data]); });
    });
  `, undefined, first);
  const all = ["public-a", "private-a", "presence-a"];
  for (const name of all) await subscribed(page, name);
  first.child.kill("SIGKILL");
  await gets(page, [1006]);
  const second = await Server.startDevAt(first.port);
  for (const name of all) await subscribed(page, name);
  await publisherOf(second).trigger(all, "message", 1);
  await page.waitForFunction(() => got.filter(Array.isArray).length === 3, PATIENCE);
  await second.stop();
});

test("behind nginx, with the location that webman's pages name, by wss", async () => {
  const first = await Server.startDev();
  const proxy = await Proxy.start(first);
  const visitor = await Browser.launch(...proxy.browserArguments);
  try {
    const page = await open(`
      var connection = new Push({
        url: 'wss://HOST',
        app_key: 'KEY',
        auth: '/subscribe/auth'
      });
      connection.on('disconnected', function (end) { got.push(end.code); });
      ['public-a', 'private-a', 'presence-a'].forEach(function (name) { connection.subscribe(name); });
      connection.channels.get('private-a').on('message', function (data) { got.push(data); });
    `, undefined, proxy, visitor);
    for (const name of ["public-a", "private-a", "presence-a"]) await subscribed(page, name);
    assert.equal(await page.evaluate(() => location.protocol), "https:");
    await publisherOf(first).trigger("private-a", "message", "by TLS");
    await gets(page, ["by TLS"]);
    first.child.kill("SIGKILL");
    await gets(page, ["by TLS", 1006]);
    const second = await Server.startDevAt(first.port);
    await subscribed(page, "private-a");
    await publisherOf(second).trigger("private-a", "message", "again");
    await gets(page, ["by TLS", 1006, "again"]);
    await second.stop();
  } finally {
    await visitor.close();
    await proxy.stop();
  }
});

/** A page of the server's own origin that loads push.js and runs this; what it gets it puts into `got`. */
async function open(snippet, script = "/plugin/workbunny/webman-push-server/push.js", of = server, by = browser) {
  const origin = of.origin ?? `http://${of.host}:${of.port}`;
  const text = snippet.replaceAll("HOST", new URL(origin).host).replaceAll("KEY", APP.key);
  const body = `<!doctype html><script src="${script}"> </script><script>var got = [];</script><script>${text}</script>`;
  const page = await by.newPage();
  if (by === browser) pages.push(page);
  // What is there is replaced, and the origin stays.
  await page.goto(`${origin}/live`);
  await page.setContent(body);
  return page;
}

async function subscribed(page, name) {
  await page.waitForFunction((wanted) => {
    const channel = connection.channels.get(wanted);
    return connection.state === "connected" && channel && channel.subscribed;
  }, PATIENCE, name);
}

/** Waits until the page has got exactly this. */
async function gets(page, wanted) {
  await page.waitForFunction((length) => got.length >= length, PATIENCE, wanted.length);
  assert.deepEqual(await page.evaluate(() => got), wanted);
}

async function users(name) {
  const answer = await (await publisher.get({ path: `/channels/${name}/users` })).json();
  return answer.users.map(({ id }) => id).sort();
}

/** Waits until nobody subscribes to the channel. */
async function unoccupied(name) {
  for (let round = 0; round < 400; round += 1) {
    const { occupied } = await (await publisher.get({ path: `/channels/${name}` })).json();
    if (!occupied) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`${name} is still occupied`);
}
