// Servers that were set up for soketi, Reverb or Pusher, by the files and variables that they had: Laravel Echo connects,
// a private channel is authorised, and an event arrives.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import Echo from "laravel-echo";
import PusherJs from "pusher-js";
import { clientOptions, publisherOf, state, until } from "./clients.mjs";
import { APP, BINARY, Server } from "./server.mjs";

const directory = mkdtempSync(path.join(tmpdir(), "moving-"));
after(() => rmSync(directory, { recursive: true }));

function written(name, text) {
  const file = path.join(directory, name);
  writeFileSync(file, text);
  return file;
}

const SOKETI = written(
  "soketi.json",
  JSON.stringify({
    "appManager.array.apps": [{ ...APP, enableClientMessages: true, maxConnections: -1, webhooks: [] }],
    adapter: { driver: "local" },
    eventLimits: { maxPayloadInKb: "100" },
  }),
);
const SOKETI_VARIABLES = {
  SOKETI_DEFAULT_APP_ID: APP.id,
  SOKETI_DEFAULT_APP_KEY: APP.key,
  SOKETI_DEFAULT_APP_SECRET: APP.secret,
  SOKETI_ADAPTER_DRIVER: "redis",
};
const REVERB = written(
  "reverb.env",
  `APP_NAME="A shop"\nREVERB_APP_ID=${APP.id}\nREVERB_APP_KEY=${APP.key}\nREVERB_APP_SECRET=${APP.secret}\n` +
    `REVERB_HOST=localhost\nREVERB_SERVER_PORT=8080\nVITE_REVERB_APP_KEY="\${REVERB_APP_KEY}"\n`,
);
const PUSHER = written(
  "pusher.env",
  `PUSHER_APP_ID=${APP.id}\nPUSHER_APP_KEY="${APP.key}"\nPUSHER_APP_SECRET=${APP.secret}\nPUSHER_APP_CLUSTER=mt1\n`,
);
const MIGRATED = written("corecast.toml", execFileSync(BINARY, ["config", "migrate", SOKETI], { encoding: "utf8" }));

const WAYS = [
  ["soketi's file", ["--config", SOKETI], {}, "adapter.driver"],
  ["soketi's variables", ["--compat", "soketi"], SOKETI_VARIABLES, "SOKETI_ADAPTER_DRIVER"],
  ["Reverb's .env", ["--compat", "reverb", "--env-file", REVERB], {}, "REVERB_HOST"],
  ["Pusher's .env", ["--compat", "pusher", "--env-file", PUSHER], {}, "PUSHER_APP_CLUSTER"],
  ["a file that was migrated", ["--config", MIGRATED], {}, null],
];

for (const [name, options, variables, ignored] of WAYS) {
  test(`a server by ${name} serves Laravel Echo`, async () => {
    const server = await Server.startMoved(variables, ...options);
    const echo = new Echo({ broadcaster: "pusher", key: APP.key, Pusher: PusherJs, ...clientOptions(server) });
    try {
      await state(echo.connector.pusher, "connected");
      const channel = echo.private("orders.7");
      const heard = [];
      channel.listen("OrderShipped", (data) => heard.push(data));
      let isSubscribed = false;
      channel.subscribed(() => (isSubscribed = true));
      await until(() => isSubscribed, () => `not subscribed: ${server.output}`);
      await publisherOf(server).trigger("private-orders.7", "App\\Events\\OrderShipped", { order: 7 });
      await until(() => heard.length > 0, () => "no event");
      assert.deepEqual(heard, [{ order: 7 }]);
      const lines = server.output.split("\n").filter((line) => line.includes("ignored: "));
      if (ignored) assert.ok(lines.filter((line) => line.includes(`${ignored}: `)).length === 1, server.output);
      else assert.deepEqual(lines, []);
    } finally {
      echo.disconnect();
      await server.stop();
    }
  });
}
