// Several servers as one: nodes that a Redis joins. Back ends talk to the last of them, clients to the others in turn, so
// that no client is on the node of its publisher.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "./redis.mjs";
import { Server } from "./server.mjs";

const JOIN_MS_MAX = 15_000;

/** How many nodes a stage has; 1 is a server without a cluster. */
export const NODES = Number(process.env.SDK_NODES ?? "1");

export class Nodes {
  #turn = 0;

  /** Starts a stage: a server, or nodes with these options each. */
  static async start(...options) {
    if (NODES === 1) return Server.start(...options);
    const redis = await Redis.start();
    const all = await Promise.all(Array.from({ length: NODES }, () => Server.start("--cluster", redis.url, ...options)));
    const end = Date.now() + JOIN_MS_MAX;
    while (!all.every((node) => node.output.includes("joined with others"))) {
      assert.ok(Date.now() < end, `not all nodes are joined:\n${all.map((node) => node.output).join("\n")}`);
      await sleep(20);
    }
    return new Nodes(redis, all);
  }

  constructor(redis, all) {
    this.redis = redis;
    this.all = all;
    this.host = all[0].host;
  }

  /** Where back ends are. */
  get backEndPort() {
    return this.all.at(-1).port;
  }

  /** Where the next client is. */
  get port() {
    this.#turn += 1;
    return this.all[this.#turn % (this.all.length - 1)].port;
  }

  get output() {
    return this.all.map((node) => node.output).join("\n");
  }

  async status(path) {
    return this.all[0].status(path);
  }

  async stop() {
    try {
      await Promise.all(this.all.map((node) => node.stop()));
    } finally {
      await this.redis.stop();
    }
  }
}
