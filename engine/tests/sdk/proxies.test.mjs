// The configurations that docs/proxies.md prints, in the real programs before the built server: WebSocket over wss and REST over
// https, at a host of its own and below a path, with the client's own address in the log.
//
// Only ports and paths are put in their place. The client connects from an address of its own, and says that it has another one.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import https from "node:https";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import Pusher from "pusher";
import WebSocket from "ws";
import { certify } from "./certificates.mjs";
import { until } from "./clients.mjs";
import { freePort } from "./ports.mjs";
import { BINARY, SHARDS } from "./server.mjs";

const OWN_HOST = "ws.example.com";
const SITE = "example.com";
const CLIENT = "127.0.0.9";
const START_MS_MAX = 15_000;
// From the copy of the tests under target/sdk/node.
const PAGE = new URL("../../../docs/proxies.md", import.meta.url);

let folder, authority, blocks, servers;
const places = new Map();

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "corecast-proxies-"));
  authority = await certify(folder, [OWN_HOST, SITE]);
  const pem = await Promise.all(["certificate.pem", "key.pem"].map((name) => readFile(join(folder, name), "utf8")));
  await writeFile(join(folder, "both.pem"), pem.join(""));
  blocks = blocksOf(await readFile(PAGE, "utf8"));
  for (const [written, place] of [
    ["/etc/ssl/example.com.both.pem", join(folder, "both.pem")],
    ["/etc/ssl/example.com.pem", join(folder, "certificate.pem")],
    ["/etc/ssl/example.com.key", join(folder, "key.pem")],
    ["/run/corecast/corecast.sock", join(folder, "corecast.sock")],
    ["/var/www/html", folder],
  ]) places.set(written, place);
  const settings = block("[[apps]]");
  const introduced = block("proxy_protocol =");
  const apps = settings.slice(settings.indexOf("[[apps]]"));
  servers = [await corecast("plain", settings), await corecast("introduced", `${introduced}\n${apps}`)];
});

after(async () => {
  for (const server of servers ?? []) assert.deepEqual(await server.stop(), [0, null], server.output);
  assert.ok(!existsSync(join(folder, "corecast.sock")), "the server removes its socket");
  await rm(folder, { recursive: true, force: true });
});

test("nginx serves by the printed configuration", async () => {
  await serves(servers[0], (port) => nginx(port, block("/etc/nginx/conf.d/corecast.conf")));
});

test("nginx serves over a Unix socket", async () => {
  const line = "server 127.0.0.1:6001;";
  const file = block("/etc/nginx/conf.d/corecast.conf");
  assert.ok(file.includes(line));
  const [, socket] = block("in the place of server 127.0.0.1:6001").trim().split("\n");
  await serves(servers[0], (port) => nginx(port, file.replace(line, socket)));
});

test("HAProxy serves by the printed configuration", async () => {
  await serves(servers[0], (port) => haproxy(port, block("mode http")));
});

test("HAProxy serves with the PROXY protocol by the printed configuration", async () => {
  // It does not look into requests, so it has all hosts and paths.
  await serves(servers[1], (port) => haproxy(port, block("send-proxy-v2")), { tellsPort: true, prefixes: [[OWN_HOST, ""]] });
});

test("Caddy serves by the printed configuration", async () => {
  await serves(servers[0], (port) => caddy(port, block("/etc/caddy/Caddyfile")));
});

// ---- what each must do ------------------------------------------------------------------------------------------------

async function serves(server, start, { tellsPort = false, prefixes = [[OWN_HOST, ""], [SITE, "/realtime"]] } = {}) {
  const port = await freePort();
  const proxy = await start(port);
  try {
    await proxy.becomesReady(async () => (await ask(port, OWN_HOST, "GET", "/ready")).status === 200);
    for (const [host, prefix] of prefixes) await carries(server, port, host, prefix, tellsPort);
    if (prefixes.length > 1) {
      const { status } = await ask(port, SITE, "GET", "/ready");
      assert.notEqual(status, 200, "the rest of the site is not Corecast's");
    }
  } finally {
    await proxy.stop();
  }
}

async function carries(server, port, host, prefix, tellsPort) {
  const url = `wss://${host}:${port}${prefix}/app/app-key?protocol=7&client=js&version=8.4.0`;
  const socket = new WebSocket(url, { ...trusting(host), headers: { "X-Forwarded-For": "6.6.6.6" } });
  const heard = [];
  socket.on("message", (data) => heard.push(JSON.parse(data)));
  const failure = new Promise((_, reject) => socket.on("error", reject));
  failure.catch(() => {});
  const hears = (event) => Promise.race([until(() => heard.some((message) => message.event === event), () => `no ${event}`), failure]);
  await hears("pusher:connection_established");
  const { socket_id: id } = JSON.parse(heard[0].data);
  const ownPort = socket._socket.localPort;
  socket.send(JSON.stringify({ event: "pusher:subscribe", data: { channel: "room" } }));
  await hears("pusher_internal:subscription_succeeded");
  const body = JSON.stringify({ name: "news", channels: ["room"], data: "x".repeat(5_000) });
  const query = publisher().createSignedQueryString({ method: "POST", path: "/apps/1/events", body });
  const answer = await ask(port, host, "POST", `${prefix}/apps/1/events?${query}`, body);
  assert.deepEqual(answer, { status: 200, body: "{}" });
  await hears("news");
  socket.close(1000);
  await once(socket, "close");
  const line = () => server.lines().find((line) => line.event === "connection_closed" && line.socket_id === id);
  await until(line, () => `no line for ${id}: ${server.output}`);
  assert.equal(line().address, tellsPort ? `${CLIENT}:${ownPort}` : CLIENT);
}

function publisher() {
  return new Pusher({ appId: "1", key: "app-key", secret: "replace-this-with-a-long-random-text", host: OWN_HOST });
}

/** How the names are found here, and from where. */
function trusting(servername) {
  const lookup = (_, { all }, found) => (all ? found(null, [{ address: "127.0.0.1", family: 4 }]) : found(null, "127.0.0.1", 4));
  return { ca: authority, servername, localAddress: CLIENT, lookup };
}

async function ask(port, host, method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
  const request = https.request({ ...trusting(host), host, port, method, path, headers, agent: false });
  request.end(body);
  const [response] = await once(request, "response");
  let text = "";
  for await (const piece of response.setEncoding("utf8")) text += piece;
  return { status: response.statusCode, body: text };
}

// ---- programs ---------------------------------------------------------------------------------------------------------

async function corecast(name, text) {
  const ports = [await freePort(), await freePort()];
  const own = (text) => text.replaceAll("127.0.0.1:6001", `127.0.0.1:${ports[0]}`).replaceAll("127.0.0.1:6002", `127.0.0.1:${ports[1]}`);
  const file = await written(`${name}.toml`, own(text));
  const options = ["serve", "--config", file, "--shards", String(SHARDS), "--admin", "off", "--log-format", "json"];
  const server = new Program(BINARY, options);
  server.own = own;
  await server.becomesReady(async () => server.lines().some((line) => line.event === "capacity"));
  return server;
}

async function nginx(port, text) {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  const file = await written("corecast.conf", servers[0].own(text.replaceAll("listen 443 ssl", `listen 127.0.0.1:${port} ssl`)));
  // As root it would serve as another user, who may not connect to the socket of the server.
  const main = `user ${userInfo().username}; daemon off; pid ${folder}/nginx.pid; error_log stderr warn; events {}
    http { access_log off; ${temporary.join(" ")} include ${file}; }`;
  return new Program("nginx", ["-p", folder, "-c", await written("nginx.conf", main)]);
}

async function haproxy(port, text) {
  const own = text.includes("send-proxy-v2") ? servers[1].own : servers[0].own;
  const file = await written("haproxy.cfg", own(text.replace("bind :443", `bind 127.0.0.1:${port}`)));
  return new Program("haproxy", ["-db", "-f", file]);
}

async function caddy(port, text) {
  const sites = servers[0].own(text.replaceAll(/^(\S+) \{$/gm, `$1:${port} {`));
  const file = await written("Caddyfile", `{\n\tadmin off\n\tauto_https disable_redirects\n}\n${sites}`);
  const home = join(folder, "caddy");
  await mkdir(home, { recursive: true });
  const env = { HOME: home, XDG_DATA_HOME: home, XDG_CONFIG_HOME: home };
  return new Program("caddy", ["run", "--config", file, "--adapter", "caddyfile"], env);
}

async function written(name, text) {
  let file = text;
  for (const [there, here] of places) file = file.replaceAll(there, here);
  await writeFile(join(folder, name), file);
  return join(folder, name);
}

/** A program that dies with its test. */
class Program {
  constructor(name, options, env = {}) {
    this.name = name;
    this.output = "";
    // Some are for administrators, and not on the path of everybody.
    const all = { ...process.env, ...env, PATH: `${process.env.PATH}:/usr/sbin` };
    this.child = spawn("setpriv", ["--pdeathsig", "KILL", name, ...options], { stdio: ["ignore", "pipe", "pipe"], env: all });
    for (const stream of [this.child.stdout, this.child.stderr]) stream.setEncoding("utf8").on("data", (text) => (this.output += text));
    this.exited = once(this.child, "exit");
    this.exited.then(() => (this.ended = true));
  }

  /** What it has logged, each line an object. */
  lines() {
    return this.output.split("\n").slice(0, -1).map((line) => JSON.parse(line));
  }

  async becomesReady(isReady) {
    const end = Date.now() + START_MS_MAX;
    while (!(await isReady().catch(() => false))) {
      if (this.ended || Date.now() > end) {
        // Its children end with it only if it is told to stop.
        await this.stop();
        throw new Error(`${this.name} does not serve:\n${this.output}`);
      }
      await sleep(20);
    }
  }

  async stop() {
    this.child.kill("SIGTERM");
    return this.exited;
  }
}

// ---- the page ---------------------------------------------------------------------------------------------------------

/** The indented blocks of a page. */
function blocksOf(text) {
  const blocks = [""];
  for (const line of text.split("\n")) {
    if (line.startsWith("    ")) blocks[blocks.length - 1] += `${line.slice(4)}\n`;
    else if (line === "") blocks[blocks.length - 1] += "\n";
    else blocks.push("");
  }
  return blocks.map((block) => block.replace(/^\n+/, "").trimEnd()).filter(Boolean).map((block) => `${block}\n`);
}

/** The one block with this in it. */
function block(words) {
  const found = blocks.filter((block) => block.includes(words));
  assert.equal(found.length, 1, `${found.length} blocks of the page have ${words}`);
  return found[0];
}
