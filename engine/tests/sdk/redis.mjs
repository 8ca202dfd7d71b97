// A Redis that joins nodes, as a child process on a free port of the loopback interface.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./ports.mjs";

const HOST = "127.0.0.1";
const START_MS_MAX = 15_000;

export class Redis {
  static async start() {
    return Redis.startAt(await freePort());
  }

  /** Starts one on a port that was used before. */
  static async startAt(port) {
    const redis = new Redis(port);
    const end = Date.now() + START_MS_MAX;
    while (!(await redis.#answers())) {
      assert.ok(Date.now() < end, "redis-server does not start");
      await sleep(20);
    }
    return redis;
  }

  constructor(port) {
    this.port = port;
    const words = ["redis-server", "--port", String(port), "--bind", HOST, "--save", "", "--appendonly", "no"];
    // With a parent-death signal none outlives a test that is killed.
    this.child = spawn("setpriv", ["--pdeathsig", "KILL", ...words], { stdio: "ignore" });
    this.exited = once(this.child, "exit");
  }

  get url() {
    return `redis://${HOST}:${this.port}/`;
  }

  /** As SIGKILL ends it: nothing of it is kept. */
  async stop() {
    this.child.kill("SIGKILL");
    await this.exited;
  }

  async #answers() {
    const socket = net.connect(this.port, HOST);
    try {
      await once(socket, "connect");
      socket.write("PING\r\n");
      const [answer] = await once(socket, "data");
      return String(answer).startsWith("+PONG");
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }
}
