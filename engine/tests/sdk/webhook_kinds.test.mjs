// Webhooks of the kinds that an endpoint must name, as an application takes them: by the server SDK, which must believe
// each of them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Clients, publisherOf, subscribed, until } from "./clients.mjs";
import { APP, Server } from "./server.mjs";

const webhooks = [];
let directory;
let endpoint;
let server;
let clients;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "corecast-webhook-kinds-"));
  endpoint = http.createServer(take).listen(0, "127.0.0.1");
  await once(endpoint, "listening");
  const file = join(directory, "corecast.toml");
  await writeFile(file, `
    [hooks]
    data_dir = "${join(directory, "data")}"

    [[apps]]
    id = "${APP.id}"
    key = "${APP.key}"
    secret = "${APP.secret}"

    [[apps.hooks]]
    url = "http://127.0.0.1:${endpoint.address().port}/hooks"
    events = ["subscription_count"]
  `);
  server = await Server.start("--config", file);
  clients = new Clients(server);
});

after(async () => {
  clients?.disconnect();
  await server?.stop();
  endpoint.closeAllConnections();
  endpoint.close();
  await rm(directory, { recursive: true });
});

test("an endpoint that asks for it is told how many are subscribed", async () => {
  const [first, second] = await Promise.all([clients.connect(), clients.connect()]);
  const channel = await subscribed(first, "counted");
  await until(() => channel.subscriptionCount === 1, () => `first it has ${channel.subscriptionCount}`);
  await subscribed(second, "counted");
  await until(() => channel.subscriptionCount === 2, () => `then it has ${channel.subscriptionCount}`);
  second.disconnect();
  await until(() => channel.subscriptionCount === 1, () => `at last it has ${channel.subscriptionCount}`);
  first.unsubscribe("counted");
  const told = () => webhooks.flatMap(({ rawBody }) => JSON.parse(rawBody).events);
  await until(() => told().length >= 4, () => `told ${JSON.stringify(told())}`);
  assert.deepEqual(
    told().map(({ id, ...event }) => event),
    [1, 2, 1, 0].map((count) => ({ name: "subscription_count", channel: "counted", subscription_count: count })),
  );
  for (const webhook of webhooks) assert.ok(publisherOf(server).webhook(webhook).isValid(), JSON.stringify(webhook));
});

function take(request, response) {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    webhooks.push({ headers: request.headers, rawBody: Buffer.concat(chunks).toString() });
    response.end("{}");
  });
}
