// Ports for what tests start.

import { randomInt } from "node:crypto";
import { once } from "node:events";
import net from "node:net";

/** A port below the range from which the kernel takes the local ports of connections. */
export async function freePort() {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const probe = net.createServer().listen(port, "127.0.0.1");
    const free = await Promise.race([
      once(probe, "listening").then(() => true),
      once(probe, "error").then(() => false),
    ]).catch(() => false);
    if (!free) continue;
    probe.close();
    await once(probe, "close");
    return port;
  }
}
