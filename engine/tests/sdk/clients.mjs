// Clients of a running server, made as an application makes them, and ways to wait for what they see.
//
// Nothing here reaches into an SDK: only documented options, methods and events.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import Pusher from "pusher";
import PusherJs from "pusher-js";
import { APP } from "./server.mjs";

const WAIT_MS_MAX = 15_000;

/** The server SDK: it publishes, asks and signs. */
export function publisherOf(server, options = {}) {
  const { id: appId, key, secret } = APP;
  return new Pusher({ appId, key, secret, host: server.host, port: String(server.backEndPort), useTLS: false, ...options });
}

/** Options of pusher-js that lead to this server; `user` is who its presence channels name. */
export function clientOptions(server, { user, authorize = signs(server, user), ...more } = {}) {
  return {
    cluster: "",
    wsHost: server.host,
    wsPort: server.port,
    forceTLS: false,
    enabledTransports: ["ws"],
    channelAuthorization: { customHandler: authorize },
    ...more,
  };
}

/** A set of pusher-js clients that end together. */
export class Clients {
  #all = [];

  constructor(server) {
    this.server = server;
  }

  /** A client that has its socket_id. */
  async connect(options) {
    const client = this.open(options);
    await state(client, "connected");
    return client;
  }

  /** A client that has only begun to connect. */
  open({ key = APP.key, ...options } = {}) {
    const client = new PusherJs(key, clientOptions(this.server, options));
    this.#all.push(client);
    return client;
  }

  disconnect() {
    for (const client of this.#all.splice(0)) client.disconnect();
  }
}

/** Subscribes and returns the channel once the server has agreed. */
export async function subscribed(client, name) {
  const channel = client.subscribe(name);
  if (!channel.subscribed) await emitted(channel, "pusher:subscription_succeeded");
  return channel;
}

/** The next `event` of a channel or connection, as [data, metadata]. */
export function emitted(emitter, event) {
  return within(`«${event}»`, (done) => {
    const handler = (...values) => {
      emitter.unbind(event, handler);
      done(values);
    };
    emitter.bind(event, handler);
  });
}

/** Waits until the client is in this connection state. */
export async function state(client, wanted) {
  await until(() => client.connection.state === wanted, () => `state is ${client.connection.state}, not ${wanted}`);
}

/** Everything that a channel gets under this event name, in order of arrival. */
export function received(channel, event) {
  const list = [];
  channel.bind(event, (data) => list.push(data));
  return list;
}

/** Waits until a list has `count` entries, and takes them. More than `count` is a failure as well. */
export async function taken(list, count) {
  await until(() => list.length >= count, () => `${list.length} of ${count} arrived: ${JSON.stringify(list)}`);
  assert.equal(list.length, count);
  return list.splice(0);
}

/** Waits until `holds` is true. */
export async function until(holds, complaint, limit = WAIT_MS_MAX) {
  const end = Date.now() + limit;
  while (!holds()) {
    if (Date.now() > end) assert.fail(complaint());
    await sleep(5);
  }
}

/**
 * Publishes a mark and waits until each channel has it. A channel has one order for all its subscribers, so what a
 * subscriber has not seen before the mark it will never see.
 */
export async function fence(publisher, ...channels) {
  const marks = channels.map((channel) => emitted(channel, "mark"));
  await publisher.trigger([...new Set(channels.map((channel) => channel.name))], "mark", {});
  await Promise.all(marks);
}

function signs(server, user) {
  const publisher = publisherOf(server);
  return ({ socketId, channelName }, done) => {
    const member = channelName.startsWith("presence-") ? user : undefined;
    done(null, publisher.authorizeChannel(socketId, channelName, member));
  };
}

function within(what, begin) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${what} within ${WAIT_MS_MAX} ms`)), WAIT_MS_MAX);
    begin((values) => {
      clearTimeout(timer);
      resolve(values);
    });
  });
}
