// Corecast as a child process: one server per test file, on a free port of the loopback interface.
//
// The server is the built binary, never a stand-in. It dies with its test, and its stop by SIGTERM is a test as well:
// the exit code must be 0. CORECAST_BIN names the binary, CORECAST_SHARDS how many shards it gets.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./ports.mjs";

export const BINARY = process.env.CORECAST_BIN ?? fileURLToPath(new URL("../../../target/release/corecast", import.meta.url));
const START_MS_MAX = 15_000;
const STOP_MS_MAX = 20_000;

export const SHARDS = Number(process.env.CORECAST_SHARDS ?? "1");
// The id is a number, since the SDK for Python takes no other.
export const APP = { id: "7001", key: "sdk-key", secret: "sdk-secret" };

export class Server {
  /** Starts a server, with these options besides, and returns when it is ready. */
  static async start(...options) {
    return Server.#start("serve", options);
  }

  /** The same without an app on the command line: files and these variables bring it. */
  static async startMoved(variables, ...options) {
    return Server.#start("serve", options, variables);
  }

  /** The same by `corecast dev`, with the credentials of the tests. */
  static async startDev(...options) {
    return Server.#start("dev", options);
  }

  /** The same on a port that was used before. */
  static async startDevAt(port) {
    const server = new Server(port, "dev", []);
    if (!(await server.#becomesReady())) server.#giveUp();
    return server;
  }

  static async #start(command, options, variables) {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const server = new Server(await freePort(), command, options, variables);
      if (await server.#becomesReady()) return server;
      if (!/port|address/i.test(server.output)) server.#giveUp();
    }
    throw new Error("no free port in five attempts");
  }

  /** Where back ends are. */
  get backEndPort() {
    return this.port;
  }

  constructor(port, name, options, variables) {
    this.host = "127.0.0.1";
    this.port = port;
    this.output = "";
    const { id, key, secret } = APP;
    // A file has apps of its own, and an app of the command line would take their place.
    const hasApps = variables !== undefined || options.includes("--config");
    const app = hasApps ? [] : ["--app", `${id}:${key}:${secret}`];
    const command = [name, "--listen", `${this.host}:${port}`, ...app, "--shards", String(SHARDS), ...options];
    this.command = command;
    this.variables = variables;
    this.#spawn();
  }

  #spawn() {
    // With a parent-death signal no server outlives a test that is killed.
    this.child = spawn("setpriv", ["--pdeathsig", "KILL", BINARY, ...this.command], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...this.variables },
    });
    this.exited = once(this.child, "exit").then(([code, signal]) => ({ code, signal }));
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.output += text));
    }
  }

  /** Stops the server by SIGTERM. It must end by itself, in time, with exit code 0. */
  async stop() {
    await this.#stop(this.child, this.exited);
  }

  /** SIGTERM and a start on the same port: when it has ended, as supervisors do, or at once. */
  async restart({ waits }) {
    const stopped = this.#stop(this.child, this.exited);
    if (waits) await stopped;
    this.#spawn();
    await stopped;
  }

  async #stop(child, exited) {
    child.kill("SIGTERM");
    const outcome = await Promise.race([exited, sleep(STOP_MS_MAX, "still running", { ref: false })]);
    child.kill("SIGKILL");
    assert.deepEqual(outcome, { code: 0, signal: null }, `the server did not stop cleanly:\n${this.output}`);
  }

  /** One HTTP request without any SDK, for what the SDKs cannot ask. */
  async status(path) {
    const request = http.get({ host: this.host, port: this.port, path, agent: false });
    const [response] = await once(request, "response");
    response.resume();
    return response.statusCode;
  }

  async #becomesReady() {
    let running = true;
    this.exited.then(() => (running = false));
    const end = Date.now() + START_MS_MAX;
    while (running && Date.now() < end) {
      if ((await this.status("/ready").catch(() => 0)) === 200) return true;
      await sleep(20);
    }
    this.child.kill("SIGKILL");
    return false;
  }

  #giveUp() {
    throw new Error(`the server at ${BINARY} did not become ready:\n${this.output}`);
  }
}
