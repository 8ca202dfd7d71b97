// The console in a real browser: channels and connections as they live, what is done to them, and the worst that clients can send.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { WebSocket } from "ws";

import { subscribed, until } from "./clients.mjs";
import { HOSTILE, PATIENCE, ROOM, button, clients, endpoint, go, page, publisher, said, server } from "./console_stage.mjs";
import { APP } from "./server.mjs";

const SHOWN = "<img src=x onerror=\"globalThis.taken=1\">␛[31m‹U+202E›gnp";

test("apps, channels by prefix, and a channel with its members and events", async () => {
  await go(page, "apps");
  await said(page, new RegExp(`${APP.id} 3 `));
  await page.click("td a");
  await said(page, /cache-prices 1 /, /presence-room 2 2/);
  await page.type("input[type=search]", "pres");
  await gone(page, "cache-prices");
  await page.click("td a");
  await said(page, /Subscriptions 2/, /ann/, /bob/, /tick \{"n":\d+\}/);
  await go(page, `channel?app=${APP.id}&name=cache-prices`);
  await said(page, /Cached event price.*\{"EURUSD":1.08\}/);
  // That the stream is open is told every 10 seconds, and is no event.
  const alive = await page.evaluate(async (path) => {
    const body = (await fetch(path)).body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ;) {
      text += (await body.read()).value;
      if (text.includes("event: alive")) return body.cancel().then(() => true);
    }
  }, `console/tail?app=${APP.id}&name=cache-prices`);
  assert.ok(alive);
  await said(page, /Live tail 0 shown/);
});

test("a connection shows what it is and its messages, and is disconnected after a question", async () => {
  const client = await clients.connect();
  await subscribed(client, "news");
  const id = client.connection.socket_id;
  await go(page, `connection?socket_id=${id}`);
  await said(page, new RegExp(`App ${APP.id}`), /Subscriptions.*news/);
  await button(page, "Record 60 s");
  await said(page, /tick/);
  const closed = new Promise((resolve) => client.connection.bind("error", resolve));
  await button(page, "Disconnect");
  await page.waitForSelector("dialog[open]");
  assert.equal(client.connection.state, "connected", "it asks first");
  await button(page, "Disconnect", "dialog");
  await said(page, /The connection was closed/);
  await closed;
  client.disconnect();
  await button(page, "Close", "dialog");
});

test("a connection that does not read is listed as slow, with what waits for it", async () => {
  await go(page, "slow");
  await said(page, /No connection has anything waiting/);
  const socket = new WebSocket(`ws://${server.host}:${server.port}/app/${APP.key}?client=sleeper&version=1.0&protocol=7`);
  const told = [];
  socket.on("message", (message) => told.push(JSON.parse(message)));
  await once(socket, "message");
  socket.send(JSON.stringify({ event: "pusher:subscribe", data: { channel: "flood" } }));
  await until(() => told.length >= 2, () => `${told.length} messages`);
  socket.pause();
  // More than the buffers of the kernel ever take.
  for (let n = 0; n < 24; n += 1) await publisher.trigger("flood", "drop", "x".repeat(1_000_000));
  await said(page, new RegExp(JSON.parse(told[0].data).socket_id), /[\d.]+ MiB/, /sleeper/);
  socket.terminate();
});

test("dead letters are looked at and replayed", async () => {
  await go(page, "hooks");
  await said(page, /backend/);
  await page.waitForFunction(() => [...document.querySelectorAll("td button")].some((one) => one.textContent === "Look" && !one.disabled), PATIENCE);
  await button(page, "Look", "table");
  await said(page, /Dead letters of .*backend.* channel_occupied/);
  endpoint.accepts = true;
  await button(page, "Replay", "table");
  await button(page, "Replay", "dialog");
  await said(page, /dead letters will be delivered again/);
  await endpoint.accepted;
  await button(page, "Close", "dialog");
});

test("what the form publishes arrives", async () => {
  await go(page, "try");
  const client = await clients.connect();
  const heard = new Promise((resolve) => client.subscribe("news").bind("hello", resolve));
  await subscribed(client, "news");
  await button(page, "Publish an event", "form");
  await button(page, "Publish an event", "dialog");
  await said(page, /The event was published/);
  assert.deepEqual(await heard, { text: "hi" });
  await button(page, "Close", "dialog");
  client.disconnect();
});

test("what clients send stays text, is shown whole where it is invisible, and is cut where it is long", async () => {
  await page.setViewport({ width: 1280, height: 800 });
  await go(page, `channel?app=${APP.id}&name=${ROOM}`);
  await said(page, /tick/);
  await publisher.trigger(ROOM, HOSTILE, HOSTILE);
  await page.waitForFunction((shown) => document.body.innerText.split(shown).length >= 3, PATIENCE, SHOWN);
  await go(page, `channel?app=${APP.id}&name=${encodeURIComponent(HOSTILE)}`);
  await page.waitForFunction((shown) => document.body.innerText.includes(shown), PATIENCE, SHOWN);
  await go(page, `channel?app=${APP.id}&name=${ROOM}`);
  await said(page, /tick/);
  await publisher.trigger(ROOM, "long", "y".repeat(1_000_000));
  await said(page, /long .*y{4000}/);
  assert.ok(await page.evaluate(() => document.body.textContent.length) < 500_000);
  const long = await page.evaluate(async () => {
    const { visible } = await import("/console/dom.js");
    return visible("\u0007\u009b\u200b\u2066\ud800x".repeat(200_000));
  });
  assert.ok(long.startsWith("␇‹U+009B›‹U+200B›‹U+2066›‹U+D800›x"), long.slice(0, 80));
  assert.ok(long.length < 200_000, `${long.length}`);
  assert.equal(await page.evaluate(() => globalThis.taken ?? document.querySelectorAll("img").length), 0);
});

async function gone(of, text) {
  await of.waitForFunction((unwanted) => !document.querySelector("#main").innerText.includes(unwanted), PATIENCE, text);
}
