// The sample endpoints, asked by pusher-js itself: in Node by POST, and in a browser by JSONP from a page that is not ours.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";

import { Browser } from "./browser.mjs";
import { Clients, emitted, publisherOf, subscribed, until } from "./clients.mjs";
import { APP, Server } from "./server.mjs";

const PUSHER_JS = path.join(path.dirname(createRequire(import.meta.url).resolve("pusher-js/package.json")), "dist/web/pusher.js");

let server;
let clients;

before(async () => {
  server = await Server.startDev();
  clients = new Clients(server);
});

after(async () => {
  clients?.disconnect();
  await server?.stop();
});

function endpoint(at) {
  return { endpoint: `http://${server.host}:${server.port}${at}`, transport: "ajax" };
}

test("every endpoint lets pusher-js into private and presence channels", async () => {
  for (const at of ["/pusher/auth", "/subscribe/auth", "/plugin/webman/push/auth"]) {
    const client = await clients.connect({ channelAuthorization: endpoint(at) });
    await subscribed(client, "private-sampled");
    const { members } = await subscribed(client, `presence-sampled${at.replaceAll("/", "-")}`);
    assert.equal(members.count, 1, at);
    assert.ok(members.me.id, at);
  }
});

test("a client says who it is with the parameters of pusher-js", async () => {
  const params = { user_id: "ann", user_info: JSON.stringify({ name: "Ann" }) };
  const client = await clients.connect({
    channelAuthorization: { ...endpoint("/pusher/auth"), params },
    userAuthentication: { ...endpoint("/pusher/user-auth"), params },
  });
  const channel = await subscribed(client, "presence-named");
  assert.deepEqual(channel.members.me, { id: "ann", info: { name: "Ann" } });
  client.signin();
  await client.user.signinDonePromise;
  assert.deepEqual(client.user.user_data, { id: "ann", user_info: { name: "Ann" } });
});

test("a back end with the master key of the documentation is read on an encrypted channel", async () => {
  const masterKey = createHmac("sha256", APP.secret).update("encryption master key").digest("base64");
  const client = await clients.connect({ channelAuthorization: endpoint("/pusher/auth") });
  const channel = await subscribed(client, "private-encrypted-sampled");
  const arrival = emitted(channel, "opened");
  const publisher = publisherOf(server, { encryptionMasterKeyBase64: masterKey });
  await publisher.trigger("private-encrypted-sampled", "opened", { combination: [1, 2, 3] });
  assert.deepEqual((await arrival)[0], { combination: [1, 2, 3] });
});

test("a page of another origin gets in by POST and by JSONP", async () => {
  const browser = await Browser.launch();
  try {
    const page = await browser.newPage();
    // The endpoints are at 127.0.0.1, which is another origin.
    await page.goto(`http://localhost:${server.port}/live`);
    await page.evaluate(await readFile(PUSHER_JS, "utf8"));
    for (const transport of ["ajax", "jsonp"]) {
      const found = await page.evaluate(
        (options, transport, host) =>
          new Promise((done, fail) => {
            const { key, port } = options;
            const at = (where) => ({ endpoint: `http://${host}:${port}${where}`, transport });
            const client = new Pusher(key, {
              cluster: "", wsHost: host, wsPort: port, forceTLS: false, enabledTransports: ["ws"],
              channelAuthorization: at("/pusher/auth"), userAuthentication: at("/pusher/user-auth"),
            });
            const channel = client.subscribe("presence-framed");
            channel.bind("pusher:subscription_error", (error) => fail(new Error(JSON.stringify(error))));
            channel.bind("pusher:subscription_succeeded", ({ count }) => {
              client.signin();
              client.user.signinDonePromise.then(() => {
                done([count, client.user.user_data.id]);
                client.disconnect();
              }, fail);
            });
          }),
        { key: APP.key, port: server.port }, transport, server.host,
      );
      assert.equal(found[0], 1, transport);
      assert.match(found[1], /^\d+\.\d+$/, "each connection is a user of its own");
    }
  } finally {
    await browser.close();
  }
});
