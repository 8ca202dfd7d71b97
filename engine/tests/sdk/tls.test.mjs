// The official clients over TLS, without a proxy: pusher-js in a real browser by wss, the server SDK by https, and who is
// refused without it.

import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import https from "node:https";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Browser } from "./browser.mjs";
import { certify } from "./certificates.mjs";
import { publisherOf } from "./clients.mjs";
import { freePort } from "./ports.mjs";
import { APP, Server } from "./server.mjs";

const HOST = "127.0.0.1";
const BUNDLE = createRequire(import.meta.url).resolve("pusher-js/dist/web/pusher.js");
const POLLED = { polling: 5, timeout: 15_000 };

let folder;
let pair;
let port;
let server;
let browser;
let publisher;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "corecast-tls-"));
  pair = { certificate: join(folder, "certificate.pem"), key: join(folder, "key.pem"), authority: await certify(folder, [HOST]) };
  const { publicKey } = new X509Certificate(await readFile(pair.certificate));
  const keyHash = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
  port = await freePort();
  server = await Server.start("--tls-listen", `${HOST}:${port}`, "--tls-cert", pair.certificate, "--tls-key", pair.key);
  browser = await Browser.launch(`--ignore-certificate-errors-spki-list=${keyHash}`);
  publisher = secureSdk(pair.authority);
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await server?.stop();
  if (folder) await rm(folder, { recursive: true });
});

test("pusher-js in a browser subscribes by wss and hears what the server SDK publishes by https", async () => {
  const page = await browser.newPage();
  await page.addScriptTag({ path: BUNDLE });
  await page.evaluate(open, { key: APP.key, port, forceTLS: true });
  await page.waitForFunction(() => window.channel.subscribed, POLLED);
  await publisher.trigger("tls-news", "said", { text: "東京", long: "x".repeat(9_000) });
  await page.waitForFunction(() => window.heard.length === 1, POLLED);
  assert.deepEqual(await page.evaluate(() => window.heard[0]), { text: "東京", long: "x".repeat(9_000) });
  assert.match(await page.evaluate(() => window.pusher.connection.connection.transport.socket.url), /^wss:/);
  await page.close();
});

test("the server SDK asks, signs and terminates by https", async () => {
  const response = await publisher.get({ path: "/channels" });
  assert.equal(response.status, 200);
  assert.deepEqual(Object.keys(await response.json()), ["channels"]);
  await publisher.triggerBatch([{ channel: "tls-a", name: "e", data: 1 }, { channel: "tls-b", name: "e", data: 2 }]);
  await publisher.terminateUserConnections("nobody");
});

test("a client that does not know the authority is not talked into trusting it", async () => {
  await assert.rejects(secureSdk().trigger("tls-news", "said", {}));
});

test("pusher-js that is told 4000 on a plain port comes back by wss", async () => {
  const config = join(folder, "tls-only.toml");
  const secure = await freePort();
  await writeFile(config, `
[[apps]]
id = "${APP.id}"
key = "${APP.key}"
secret = "${APP.secret}"
tls_only = true
`);
  const closed = await Server.start("--config", config, "--tls-listen", `${HOST}:${secure}`,
    "--tls-cert", pair.certificate, "--tls-key", pair.key);
  const page = await browser.newPage();
  try {
    await page.addScriptTag({ path: BUNDLE });
    await page.evaluate(open, { key: APP.key, wsPort: closed.port, port: secure, forceTLS: false });
    await page.waitForFunction(() => window.channel.subscribed, POLLED);
    assert.match(await page.evaluate(() => window.pusher.connection.connection.transport.socket.url), /^wss:/);
  } finally {
    await page.close();
    await closed.stop();
  }
});

/** The server SDK, which trusts this authority. */
function secureSdk(ca) {
  return publisherOf(server, { useTLS: true, port: String(port), agent: new https.Agent({ ca }) });
}

/** Runs in the page: what an application does. */
function open({ key, wsPort, port, forceTLS }) {
  window.heard = [];
  window.pusher = new window.Pusher(key, {
    cluster: "",
    wsHost: "127.0.0.1",
    wsPort: wsPort ?? port,
    wssPort: port,
    forceTLS,
    enabledTransports: ["ws", "wss"],
  });
  window.channel = window.pusher.subscribe("tls-news");
  window.channel.bind("said", (data) => window.heard.push(data));
}
