// The stage of a file of tests: a server (or nodes that are one), the clients that connect to it, and a back end that publishes.
//
// Each file is a process of its own, so each has a server of its own, from before its first test until after its last.

import { after, before } from "node:test";
import { Clients, publisherOf } from "./clients.mjs";
import { Nodes } from "./nodes.mjs";

export let server;
export let clients;
export let publisher;

before(async () => {
  server = await Nodes.start();
  clients = new Clients(server);
  publisher = publisherOf(server);
});

after(async () => {
  clients?.disconnect();
  await server?.stop();
});
