// push.js for uni-app and for WeChat: the served files, on runtimes that are made here of real sockets and real requests.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import vm from "node:vm";
import WebSocket from "ws";

import { publisherOf } from "./clients.mjs";
import { APP, Server } from "./server.mjs";

let server;
let publisher;

before(async () => {
  server = await Server.startDev();
  publisher = publisherOf(server);
});

after(() => server.stop());

const PLATFORMS = [
  // A bundler reads the one as a module of the language; the runtime of WeChat gives CommonJS to the other.
  ["uni", "push-uniapp.js", async (source) => {
    const { default: Push, Push: named } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
    assert.equal(Push, named);
    return Push;
  }],
  ["wx", "push-miniprogram.js", (source) => {
    const module = { exports: {} };
    vm.runInThisContext(`(function (module) {${source}\n})`)(module);
    assert.equal(module.exports, module.exports.default);
    return module.exports;
  }],
];

for (const [name, file, load] of PLATFORMS) {
  test(`${file} subscribes to all three kinds, sends, comes back when the network does, and ends`, async () => {
    const runtime = new Runtime();
    globalThis[name] = runtime.host;
    const source = await (await fetch(`http://${server.host}:${server.port}/plugin/webman/push/${file}`)).text();
    const Push = await load(source);
    const auth = `http://${server.host}:${server.port}/subscribe/auth`;
    const make = (id) => new Push({ url: `ws://${server.host}:${server.port}`, app_key: APP.key, auth, channel_data: { user_id: id, user_info: "{}" } });
    const [one, other] = [make("1"), make("2")];

    const news = one.subscribe("news");
    await told(news, "pusher:subscription_succeeded");
    const message = told(news, "message");
    await publisher.trigger("news", "message", { text: "hi" });
    assert.deepEqual({ ...await message }, { text: "hi" });

    const room = one.subscribe("presence-room");
    assert.deepEqual([(await told(room, "pusher:subscription_succeeded")).count, room.members.me.id], [1, "1"]);
    const added = told(room, "pusher:member_added");
    other.subscribe("presence-room");
    assert.equal((await added).id, "2");

    const hers = one.subscribe("private-chat");
    await told(hers, "pusher:subscription_succeeded");
    const own = [];
    hers.on("client-message", (data) => own.push(data));
    const his = other.subscribe("private-chat");
    await told(his, "pusher:subscription_succeeded");
    const typed = told(his, "client-message");
    hers.trigger("client-message", { content: "hello" });
    assert.deepEqual({ ...await typed }, { content: "hello" });
    assert.deepEqual(own, []);

    // The phone loses its network and finds another.
    const lost = told(one, "disconnected");
    runtime.cut();
    assert.equal((await lost).code, 1006);
    const back = told(one.channels.get("news"), "pusher:subscription_succeeded");
    runtime.show();
    await back;

    for (const push of [one, other]) push.disconnect();
    assert.deepEqual(runtime.listeners(), 0);
  });

  test(`${file} tells of a connection and of an endpoint that cannot be reached`, async () => {
    const runtime = new Runtime();
    globalThis[name] = runtime.host;
    const Push = await load(await (await fetch(`http://${server.host}:${server.port}/plugin/webman/push/${file}`)).text());
    const nowhere = new Push({ url: "ws://127.0.0.1:1", app_key: APP.key });
    assert.equal((await told(nowhere, "disconnected")).code, 1006);
    nowhere.disconnect();
    const push = new Push({ url: `ws://${server.host}:${server.port}`, app_key: APP.key, auth: "http://127.0.0.1:1/auth" });
    const failed = told(push, "error");
    push.subscribe("private-a");
    assert.deepEqual(((error) => [error.channel, error.status])(await failed), ["private-a", 0]);
    const unknown = new Push({ url: `ws://${server.host}:${server.port}`, app_key: "unknown" });
    unknown.on("error", () => {});
    assert.deepEqual(((end) => [end.code, end.retry_in])(await told(unknown, "disconnected")), [4001, null]);
    push.disconnect();
  });
}

/** What uni-app and WeChat have in common, as their documentation describes it. */
class Runtime {
  #sockets = new Set();
  #network = new Set();
  #shown = new Set();

  host = {
    connectSocket: (options) => {
      assert.ok(options.success || options.fail || options.complete, "without one of them uni-app returns a promise");
      const socket = new WebSocket(options.url);
      this.#sockets.add(socket);
      return {
        onMessage: (hear) => socket.on("message", (data) => hear({ data: data.toString() })),
        onClose: (hear) => socket.on("close", (code, reason) => hear({ code, reason: reason.toString() })),
        onError: (hear) => socket.on("error", (error) => hear({ errMsg: error.message })),
        send: ({ data }) => socket.send(data),
        close: () => socket.close(),
      };
    },
    request: ({ url, method, header, data, success, fail }) => {
      fetch(url, { method, headers: header, body: data }).then(
        // JSON is given as what it is.
        async (answer) => success({ statusCode: answer.status, data: await answer.json() }),
        (error) => fail({ errMsg: error.message }),
      );
    },
    onNetworkStatusChange: (hear) => this.#network.add(hear),
    offNetworkStatusChange: (hear) => this.#network.delete(hear),
    onAppShow: (hear) => this.#shown.add(hear),
    offAppShow: (hear) => this.#shown.delete(hear),
  };

  cut() {
    this.#network.forEach((hear) => hear({ isConnected: false, networkType: "none" }));
    this.#sockets.forEach((socket) => socket.terminate());
  }

  show() {
    this.#network.forEach((hear) => hear({ isConnected: true, networkType: "wifi" }));
    this.#shown.forEach((hear) => hear({}));
  }

  listeners() {
    return this.#network.size + this.#shown.size;
  }
}

/** What the next event brings. */
function told(emitter, event) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`«${event}» has not come`)), 15_000);
    const hear = (data) => {
      clearTimeout(late);
      emitter.off(event, hear);
      resolve(data);
    };
    emitter.on(event, hear);
  });
}
