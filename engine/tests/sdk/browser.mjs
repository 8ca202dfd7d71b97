// A real browser with a profile of its own.
//
// CHROMIUM names the browser if it is not on the PATH as chromium.

import { access, constants, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

const CHROMIUM = process.env.CHROMIUM ?? "chromium";

export class Browser {
  #browser;
  #profile;

  /** Starts the browser, with these arguments besides. */
  static async launch(...more) {
    const profile = await mkdtemp(join(tmpdir(), "corecast-browser-"));
    const browser = await puppeteer.launch({
      browser: "chrome",
      executablePath: CHROMIUM.includes("/") ? CHROMIUM : await onPath(CHROMIUM),
      userDataDir: profile,
      args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", ...more],
    });
    return new Browser(browser, profile);
  }

  constructor(browser, profile) {
    this.#browser = browser;
    this.#profile = profile;
  }

  newPage() {
    return this.#browser.newPage();
  }

  /** A page that shares no cookies with others. */
  async newPrivatePage() {
    return (await this.#browser.createBrowserContext()).newPage();
  }

  async close() {
    await this.#browser.close();
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function onPath(program) {
  for (const folder of process.env.PATH.split(":")) {
    const file = join(folder, program);
    if (await access(file, constants.X_OK).then(() => true, () => false)) return file;
  }
  throw new Error(`${program} is not on the PATH: install chromium, or name a browser by CHROMIUM`);
}
