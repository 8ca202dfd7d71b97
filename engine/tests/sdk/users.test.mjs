// Users in pusher-js, in Node and in a real browser: signing in, events for a user, watchlists, and the end of a user's
// connections at the word of its back end.
//
// CHROMIUM names the browser if it is not on the PATH as chromium.

import assert from "node:assert/strict";
import { access, constants, mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import puppeteer from "puppeteer-core";
import { emitted, fence, received, state, subscribed, taken, until } from "./clients.mjs";
import { APP } from "./server.mjs";
import { clients, publisher, server } from "./stage.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "chromium";
const PUSHER_JS = path.join(path.dirname(createRequire(import.meta.url).resolve("pusher-js/package.json")), "dist/web/pusher.js");

let browser;
let profile;

before(async () => {
  profile = await mkdtemp(path.join(tmpdir(), "corecast-users-"));
  browser = await puppeteer.launch({
    browser: "chrome",
    executablePath: CHROMIUM.includes("/") ? CHROMIUM : await onPath(CHROMIUM),
    userDataDir: profile,
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  if (profile) await rm(profile, { recursive: true, force: true, maxRetries: 5 });
});

/** Options of a client whose back end says that it is this user. */
function as(user) {
  const customHandler = ({ socketId }, done) => done(null, publisher.authenticateUser(socketId, user));
  return { userAuthentication: { customHandler } };
}

/** A client that is signed in, and has the channel of its user. */
async function signedIn(user, options = {}) {
  const client = await clients.connect({ ...as(user), ...options });
  client.signin();
  await client.user.signinDonePromise;
  assert.deepEqual(client.user.user_data, user);
  await until(() => client.user.serverToUserChannel?.subscribed, () => "no channel of the user");
  return client;
}

test("a user signs in and gets what is sent to it, on each connection", async () => {
  const user = { id: "ann", user_info: { name: "Ann «ü»" } };
  const devices = await Promise.all([1, 2, 3, 4].map(() => signedIn(user)));
  const stranger = await signedIn({ id: "bob" });
  const lists = devices.map((device) => received(device.user, "greeting"));
  const foreign = received(stranger.user, "greeting");
  await publisher.sendToUser("ann", "greeting", { text: "«hello»" });
  for (const list of lists) assert.deepEqual(await taken(list, 1), [{ text: "«hello»" }]);
  await publisher.triggerBatch([
    { channel: "#server-to-user-ann", name: "greeting", data: { number: 1 } },
    { channel: "#server-to-user-ann", name: "greeting", data: { number: 2 } },
  ]);
  for (const list of lists) assert.deepEqual(await taken(list, 2), [{ number: 1 }, { number: 2 }]);
  // The SDK's own `trigger` takes no such channel, so this is what it would send.
  const { socket_id } = devices[0].connection;
  const body = { name: "greeting", channels: ["#server-to-user-ann"], data: JSON.stringify("not to the first"), socket_id };
  assert.equal((await publisher.post({ path: "/events", body })).status, 200);
  for (const list of lists.slice(1)) assert.deepEqual(await taken(list, 1), ["not to the first"]);
  await publisher.sendToUser("ann", "greeting", "last");
  assert.deepEqual(await taken(lists[0], 1), ["last"]);
  assert.deepEqual(foreign, []);
});

test("a user who comes back is signed in again by its client", async () => {
  const client = await signedIn({ id: "returning" });
  client.disconnect();
  await state(client, "disconnected");
  client.connect();
  await state(client, "connected");
  await until(() => client.user.serverToUserChannel?.subscribed, () => "no channel of the user after a return");
  const news = received(client.user, "news");
  await publisher.sendToUser("returning", "news", 1);
  assert.deepEqual(await taken(news, 1), [1]);
});

test("a refused sign-in is told on the connection, which stays", async () => {
  const forged = ({ socketId }, done) => {
    const { auth } = publisher.authenticateUser(socketId, { id: "somebody" });
    done(null, { auth, user_data: JSON.stringify({ id: "admin" }) });
  };
  const client = await clients.connect({ userAuthentication: { customHandler: forged } });
  const told = emitted(client.connection, "message");
  const errors = received(client.connection, "error");
  const messages = [];
  client.connection.bind("message", (message) => messages.push(message));
  client.signin();
  await told;
  await until(() => messages.some(({ event }) => event === "pusher:signin_error"), () => JSON.stringify(messages));
  const { data } = messages.find(({ event }) => event === "pusher:signin_error");
  assert.equal(data.type, "AuthError");
  assert.equal(data.status, 401);
  assert.match(data.error, /Invalid signature/);
  assert.equal(errors.length, 1);
  assert.equal(client.connection.state, "connected");
  await subscribed(client, "after-a-refused-sign-in");
});

test("presence channels know who is signed in", async () => {
  const authorize = ({ socketId, channelName }, done) => done(null, publisher.authorizeChannel(socketId, channelName));
  const user = { id: "member", user_info: { name: "Member" } };
  const client = await signedIn(user, { authorize });
  const channel = await subscribed(client, "presence-of-signed-in");
  assert.deepEqual(channel.members.me, { id: "member", info: user.user_info });
});

test("a watchlist tells who is online and who is not", async () => {
  const there = await signedIn({ id: "there" });
  const watcher = await clients.connect(as({ id: "watcher", watchlist: ["there", "comes"] }));
  const online = received(watcher.user.watchlist, "online");
  const offline = received(watcher.user.watchlist, "offline");
  watcher.signin();
  assert.deepEqual(await taken(online, 1), [{ name: "online", user_ids: ["there"] }]);
  assert.deepEqual(await taken(offline, 1), [{ name: "offline", user_ids: ["comes"] }]);
  const comes = await signedIn({ id: "comes" });
  assert.deepEqual(await taken(online, 1), [{ name: "online", user_ids: ["comes"] }]);
  comes.disconnect();
  assert.deepEqual(await taken(offline, 1), [{ name: "offline", user_ids: ["comes"] }]);
  there.disconnect();
  assert.deepEqual(await taken(offline, 1), [{ name: "offline", user_ids: ["there"] }]);
  assert.deepEqual(online, []);
});

test("the connections of a terminated user are closed for good, and no others", async () => {
  const devices = await Promise.all([1, 2, 3].map(() => signedIn({ id: "goner" })));
  const other = await signedIn({ id: "stays" });
  const errors = devices.map((device) => received(device.connection, "error"));
  await publisher.terminateUserConnections("goner");
  for (const [index, device] of devices.entries()) {
    await state(device, "disconnected");
    assert.equal(errors[index].some(({ data }) => data?.code === 4009), true, JSON.stringify(errors[index]));
  }
  await fence(publisher, await subscribed(other, "after-the-end-of-another"));
  assert.equal(other.connection.state, "connected");
});

test("a browser signs in, gets its events, and hears of its watchlist", async () => {
  const page = await browser.newPage();
  try {
    await page.goto(`http://${server.host}:${server.port}/live`);
    await page.exposeFunction("authenticate", (socketId, user) => publisher.authenticateUser(socketId, user));
    await page.addScriptTag({ path: PUSHER_JS });
    await page.evaluate(({ key, host, port }) => {
      const user = { id: "in-a-browser", watchlist: ["watched-by-a-browser"] };
      const customHandler = ({ socketId }, done) => window.authenticate(socketId, user).then((data) => done(null, data), done);
      const options = { cluster: "", wsHost: host, wsPort: port, forceTLS: false, enabledTransports: ["ws"] };
      const client = new window.Pusher(key, { ...options, userAuthentication: { customHandler } });
      window.seen = [];
      for (const name of ["online", "offline"]) {
        client.user.watchlist.bind(name, ({ user_ids }) => window.seen.push([name, ...user_ids]));
      }
      client.user.bind("greeting", (data) => window.seen.push(["greeting", data]));
      client.connection.bind("connected", () => client.signin());
      window.client = client;
    }, { key: APP.key, host: server.host, port: server.port });
    const seen = (...wanted) => page.waitForFunction(
      (text) => JSON.stringify(window.seen.at(-1)) === text, { timeout: 15_000 }, JSON.stringify(wanted),
    );
    await seen("offline", "watched-by-a-browser");
    const watched = await signedIn({ id: "watched-by-a-browser" });
    await seen("online", "watched-by-a-browser");
    const isSubscribed = () => window.client.user.serverToUserChannel?.subscribed === true;
    await page.waitForFunction(isSubscribed, { timeout: 15_000 });
    await publisher.sendToUser("in-a-browser", "greeting", { text: "«hello»" });
    await seen("greeting", { text: "«hello»" });
    watched.disconnect();
    await seen("offline", "watched-by-a-browser");
    await publisher.terminateUserConnections("in-a-browser");
    await page.waitForFunction(() => window.client.connection.state === "disconnected", { timeout: 15_000 });
  } finally {
    await page.close();
  }
}, { timeout: 60_000 });

async function onPath(name) {
  for (const folder of process.env.PATH.split(path.delimiter)) {
    const file = path.join(folder, name);
    if (await access(file, constants.X_OK).then(() => true, () => false)) return file;
  }
  throw new Error(`no ${name} on the PATH: set CHROMIUM`);
}
