// A real nginx with TLS before a server, at a name of its own without a port, and a browser that finds it there.
//
// Its certificate is signed by an authority that is made for it. Node checks it by that authority; the browser takes its
// key for good and no other.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { certify } from "./certificates.mjs";
import { freePort } from "./ports.mjs";

export const NAME = "push.example";
const START_MS_MAX = 10_000;

/** `location /app` is word for word what pages of webman have; only the port is ours. */
const webman = (upstream) => `
        location /app
        {
            proxy_pass http://127.0.0.1:${upstream};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "Upgrade";
            proxy_set_header X-Real-IP $remote_addr;
        }

        location / {
            proxy_pass http://127.0.0.1:${upstream};
        }
`;

export class Proxy {
  origin = `https://${NAME}`;

  /** Starts an nginx for this server as pages of webman have it. The server's place may change as long as its port stays. */
  static async start(server) {
    return Proxy.startWith(webman(server.port));
  }

  /** Starts an nginx that serves these locations. */
  static async startWith(locations) {
    const proxy = new Proxy();
    proxy.port = await freePort();
    proxy.folder = await mkdtemp(join(tmpdir(), "corecast-nginx-"));
    await proxy.#certify();
    await writeFile(join(proxy.folder, "nginx.conf"), configuration(proxy, locations));
    const options = ["-p", proxy.folder, "-c", join(proxy.folder, "nginx.conf")];
    // It is for administrators, and not on the path of everybody.
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
    proxy.child = spawn("setpriv", ["--pdeathsig", "KILL", "nginx", ...options], { stdio: ["ignore", "pipe", "pipe"], env });
    proxy.output = "";
    for (const stream of [proxy.child.stdout, proxy.child.stderr]) stream.setEncoding("utf8").on("data", (text) => (proxy.output += text));
    proxy.exited = once(proxy.child, "exit");
    await proxy.#becomesReady();
    return proxy;
  }

  /** What a browser must be told to find it by its name and take its certificate. */
  get browserArguments() {
    return [`--host-resolver-rules=MAP ${NAME}:443 127.0.0.1:${this.port}`, `--ignore-certificate-errors-spki-list=${this.keyHash}`];
  }

  async stop() {
    this.child.kill("SIGTERM");
    const [code] = await this.exited;
    await rm(this.folder, { recursive: true, force: true });
    assert.equal(code, 0, this.output);
  }

  async #certify() {
    this.authority = await certify(this.folder, [NAME]);
    const { publicKey } = new X509Certificate(await readFile(join(this.folder, "certificate.pem")));
    this.keyHash = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
  }

  async #becomesReady() {
    const end = Date.now() + START_MS_MAX;
    const options = { host: "127.0.0.1", port: this.port, path: "/live", servername: NAME, ca: this.authority, agent: false };
    for (;;) {
      const status = await new Promise((resolve) => {
        https.get(options, (response) => resolve(response.resume().statusCode)).on("error", resolve);
      });
      if (status === 200) return;
      if (Date.now() > end) {
        this.child.kill("SIGKILL");
        throw new Error(`nginx does not serve: ${status}\n${this.output}`);
      }
      await sleep(50);
    }
  }
}

function configuration({ port, folder }, locations) {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  return `
daemon off;
pid ${folder}/pid;
error_log stderr warn;
events {}
http {
    access_log off;
    ${temporary.join("\n    ")}
    server {
        listen 127.0.0.1:${port} ssl;
        server_name ${NAME};
        ssl_certificate ${folder}/certificate.pem;
        ssl_certificate_key ${folder}/key.pem;
${locations}    }
}
`;
}
