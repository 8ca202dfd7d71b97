// docs/getting-started.md, typed literally into an empty directory, with a real browser before it.
//
// Three things are different from a newcomer's day: the server is built already, its ports are free ones, and what the page
// fetches from js.pusher.com comes from the same package of npm.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import PusherServer from "pusher";

import { Browser } from "./browser.mjs";
import { freePort } from "./ports.mjs";
import { BINARY } from "./server.mjs";

// The tests run in a copy, three folders below the tree.
const DOCS = process.env.DOCS ?? fileURLToPath(new URL("../../../docs", import.meta.url));
const PACKAGES = fileURLToPath(new URL("node_modules", import.meta.url));
const PATIENCE_MS = 30_000;

let folder;
let browser;
const running = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "corecast-first-day-"));
  browser = await Browser.launch();
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  for (const child of running.reverse()) {
    child.kill("SIGTERM");
    await Promise.race([child.ended, sleep(10_000, undefined, { ref: false })]);
    child.kill("SIGKILL");
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

test("every line of the page does what it says", { timeout: 240_000 }, async () => {
  const [port, other] = [await freePort(), await freePort()];
  const page = (await readFile(join(DOCS, "getting-started.md"), "utf8"))
    .replaceAll("6001", String(port)).replaceAll("8000", String(other));
  const steps = parse(page);
  await mkdir(join(folder, "bin"));
  await symlink(BINARY, join(folder, "bin/corecast"));
  await mkdir(join(folder, "empty"));
  const day = new Day(join(folder, "empty"), join(folder, "bin"), port);
  for (const step of steps) await day.take(step);
  assert.equal(day.shown, 3, "three events were shown");
  assert.deepEqual([...day.files].sort(), [".env", "back-end.js", "index.html", "private.html", "publish.js", "resources/js/echo.js"]);
  await laravel(day);
  for (const tab of await day.tabs) await tab.close();
});

test("the Chinese page has the same code", async () => {
  const code = (text) => parse(text).filter((step) => step.block).map(({ language, block }) => ({ language, block }));
  const [english, chinese] = await Promise.all(["getting-started.md", "getting-started.zh-CN.md"].map((name) => readFile(join(DOCS, name), "utf8")));
  assert.deepEqual(code(chinese), code(english));
});

/** A newcomer: types commands, saves files, opens pages and looks at them. */
class Day {
  constructor(cwd, bin, port) {
    this.cwd = cwd;
    this.port = port;
    this.env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, npm_config_fund: "false", npm_config_audit: "false", npm_config_update_notifier: "false" };
    this.files = new Set();
    this.tabs = [];
    this.shown = 0;
  }

  async take({ prose, block, language, file }) {
    if (prose) return this.#read(prose);
    if (language === "sh") {
      for (const line of block.trim().split("\n")) await this.#type(line);
    } else if (language === "json") {
      await eventually(async () => assert.equal((await this.#run(this.last)).trim(), block.trim()));
    } else {
      assert.ok(file, `nothing says where this belongs:\n${block}`);
      await mkdir(dirname(join(this.cwd, file)), { recursive: true });
      await writeFile(join(this.cwd, file), block);
      this.files.add(file);
    }
  }

  async #type(line) {
    if (/^cargo build |^export PATH=/.test(line)) return;
    if (line.startsWith("corecast dev ")) return this.#start(`${line} --listen 127.0.0.1:${this.port}`);
    if (line === "node back-end.js") return this.#start(line);
    // What was started in another terminal may need a moment.
    this.last = line.startsWith("corecast publish ") ? `${line} --to 127.0.0.1:${this.port}` : line;
    await eventually(() => this.#run(this.last));
  }

  async #run(line) {
    return (await promisify(execFile)("sh", ["-c", line], { cwd: this.cwd, env: this.env })).stdout;
  }

  #start(line) {
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "sh", "-c", `exec ${line}`], { cwd: this.cwd, env: this.env, stdio: "ignore" });
    child.ended = new Promise((resolve) => child.on("exit", resolve));
    running.push(child);
  }

  async #read(prose) {
    if (/^Open it in a browser/m.test(prose)) await this.#open(`file://${join(this.cwd, [...this.files].at(-1))}`);
    const url = /^Open <(\S+)>/m.exec(prose)?.[1];
    if (url) await this.#open(url);
    const shown = /^The page shows `([^`]+)`/m.exec(prose)?.[1];
    if (shown) {
      const options = { timeout: PATIENCE_MS, polling: 50 };
      await this.tabs.at(-1).waitForFunction((text) => document.getElementById("events").innerText.includes(text), options, shown);
      this.shown += 1;
    }
  }

  async #open(url) {
    const tab = await browser.newPage();
    this.tabs.push(tab);
    await fromNpm(tab);
    await eventually(() => tab.goto(url));
    // Everybody sees that the page has come before typing the next command; `pusher` is a name of each page.
    await subscribed(tab, "pusher");
  }
}

/** Steps in their order: what is to be read, and blocks of code with the file that the sentence before names. */
function parse(text) {
  const steps = [];
  text.split(/^```/m).forEach((part, index) => {
    if (index % 2 === 0) return void steps.push({ prose: part });
    const end = part.indexOf("\n");
    const before = steps.at(-1).prose.trimEnd().split("\n\n").at(-1);
    const file = (/as `([\w./-]+)`/.exec(before) ?? /[iI]n (?:the )?`([\w./-]+)`/.exec(before))?.[1];
    steps.push({ language: part.slice(0, end), block: part.slice(end + 1), file });
  });
  return steps;
}

/** Echo's snippet as a bundle of Vite has it, and an event by the values of `.env`. */
async function laravel(day) {
  const read = (file) => readFile(join(day.cwd, file), "utf8");
  const env = {};
  for (const line of (await read(".env")).trim().split("\n")) {
    const [, name, value] = /^(\w+)="?(.*?)"?$/.exec(line);
    env[name] = value.replace(/\$\{(\w+)\}/g, (_, other) => env[other]);
  }
  assert.equal(env.BROADCAST_CONNECTION, "pusher");
  const code = (await read("resources/js/echo.js")).replace(/import\.meta\.env\.(\w+)/g, (_, name) => JSON.stringify(env[name]));
  const imports = { "laravel-echo": "/laravel-echo.js", "pusher-js": "data:text/javascript,export default window.Pusher" };
  const files = {
    "/": ["text/html", `<!doctype html><meta charset="utf-8"><script src="https://js.pusher.com/8.4.0/pusher.min.js"></script>
      <script type="importmap">${JSON.stringify({ imports })}</script><script type="module" src="/echo.js"></script>`],
    "/echo.js": ["text/javascript", code],
    "/laravel-echo.js": ["text/javascript", await readFile(join(PACKAGES, "laravel-echo/dist/echo.js"), "utf8")],
  };
  const application = http.createServer((request, response) => {
    const [type, body] = files[request.url] ?? ["text/plain", ""];
    response.setHeader("Content-Type", type).end(body);
  });
  application.listen(await freePort(), "127.0.0.1");
  await once(application, "listening");
  application.unref();
  const tab = await browser.newPage();
  day.tabs.push(tab);
  await fromNpm(tab);
  await tab.goto(`http://127.0.0.1:${application.address().port}/`);
  await tab.waitForFunction(() => window.Echo, { timeout: PATIENCE_MS, polling: 50 });
  await tab.evaluate(() => {
    window.heard = [];
    window.Echo.channel("orders").listen("OrderShipped", (event) => window.heard.push(event.order));
  });
  await subscribed(tab, "Echo.connector.pusher");
  const backEnd = new PusherServer({
    appId: env.PUSHER_APP_ID, key: env.PUSHER_APP_KEY, secret: env.PUSHER_APP_SECRET,
    host: env.PUSHER_HOST, port: env.PUSHER_PORT, useTLS: env.PUSHER_SCHEME === "https",
  });
  await backEnd.trigger("orders", "App\\Events\\OrderShipped", { order: 9 });
  await tab.waitForFunction(() => window.heard.includes(9), { timeout: PATIENCE_MS, polling: 50 });
  application.close();
  application.closeAllConnections();
}

/** Answers what a page fetches from elsewhere. */
async function fromNpm(tab) {
  const body = await readFile(join(PACKAGES, "pusher-js/dist/web/pusher.min.js"), "utf8");
  await tab.setRequestInterception(true);
  tab.on("request", (request) => {
    if (request.url() === "https://js.pusher.com/8.4.0/pusher.min.js") return request.respond({ contentType: "text/javascript", body });
    return request.url().startsWith("https:") ? request.abort() : request.continue();
  });
}

async function subscribed(tab, path) {
  const options = { timeout: PATIENCE_MS, polling: 50 };
  await tab.waitForFunction(`${path}.allChannels().length && ${path}.allChannels().every((channel) => channel.subscribed)`, options);
}

async function eventually(attempt) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end) throw error;
      await sleep(100);
    }
  }
}
