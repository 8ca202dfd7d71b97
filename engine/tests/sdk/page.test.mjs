// The page of `corecast dev` in a real browser: what somebody sees on the first day, on a desk and on a phone, without internet.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { Browser } from "./browser.mjs";
import { BINARY, Server } from "./server.mjs";

const WIDTHS = [390, 1400];
// A page that is not in front draws nothing, so it is asked by the clock.
const PATIENCE = { timeout: 15_000, polling: 50 };
const FIRST = ["hello", "private-demo", "presence-demo"];

let server;
let browser;

before(async () => {
  server = await Server.startDev();
  browser = await Browser.launch();
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await server.stop();
});

test("a publish by the printed command is shown, at each width", async () => {
  for (const width of WIDTHS) {
    await withPage({ width }, async (page) => {
      await subscribed(page, FIRST);
      await publish("hello", "greeting", `{"text":"at ${width} <b>"}`);
      await page.waitForFunction((text) => document.body.innerText.includes(text), PATIENCE, `{"text":"at ${width} <b>"}`);
      assert.match(await page.$eval("body", (body) => body.innerText), /hello\s+greeting/);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(wider <= 0, `${wider} px are pushed out at ${width}`);
    });
  }
});

test("another channel is subscribed and left, and a refusal is shown", async () => {
  await withPage({ width: 390 }, async (page) => {
    await subscribed(page, FIRST);
    await page.type("#channel", "news\n");
    await subscribed(page, [...FIRST, "news"]);
    await page.click("button[aria-label='Leave hello']");
    await subscribed(page, ["private-demo", "presence-demo", "news"]);
    await publish("hello", "left", "x");
    await publish("news", "stayed", "y");
    await page.waitForFunction(() => document.body.innerText.includes("stayed"), PATIENCE);
    assert.equal(await page.evaluate(() => document.body.innerText.includes("left")), false);
    // What is refused does not stay in the list.
    await page.type("#channel", "a b\n");
    await page.waitForFunction(() => document.getElementById("problem").textContent.includes("channel"), PATIENCE);
    await subscribed(page, ["private-demo", "presence-demo", "news"]);
  });
});

test("two pages see each other as members, and what one sends comes to the other alone", async () => {
  await withPage({ width: 390 }, async (one) => {
    await subscribed(one, FIRST);
    await withPage({ width: 1400 }, async (other) => {
      await subscribed(other, FIRST);
      const [here, there] = await Promise.all([one, other].map((page) => page.$eval("#me", (me) => me.textContent)));
      for (const page of [one, other]) {
        await page.waitForFunction((wanted) => {
          const shown = [...document.querySelectorAll("#members li")].map((member) => member.textContent.replace(" (you)", ""));
          return shown.sort().join() === wanted;
        }, PATIENCE, [here, there].sort().join());
      }
      await one.waitForFunction((name) => document.body.innerText.includes("member_added") && document.body.innerText.includes(name), PATIENCE, there);
      for (const channel of ["private-demo", "presence-demo"]) {
        await other.select("#to", channel);
        await other.$eval("#data", (data, text) => { data.value = text; }, `to ${channel}`);
        await other.$eval("#send", (form) => form.requestSubmit());
        await one.waitForFunction((text) => document.getElementById("events").innerText.includes(text), PATIENCE, `to ${channel}`);
      }
      const rows = await other.$$eval("#events tr", (found) => found.map((row) => row.cells[2].textContent));
      assert.deepEqual(rows.filter((event) => event.startsWith("client-")), ["client-message (sent)", "client-message (sent)"]);
    });
    await one.waitForFunction(() => document.querySelectorAll("#members li").length === 1, PATIENCE);
  });
});

test("nothing is fetched from elsewhere and nothing is complained about", async () => {
  const said = [];
  const asked = [];
  const prepare = (page) => {
    page.on("console", (message) => said.push(message.text()));
    page.on("pageerror", (error) => said.push(String(error)));
    page.on("request", (request) => asked.push(request.url()));
  };
  await withPage({ width: 1400, prepare }, (page) => subscribed(page, FIRST));
  const home = `${server.host}:${server.port}/`;
  assert.deepEqual(asked.filter((url) => !url.startsWith(`http://${home}`) && !url.startsWith(`ws://${home}`) && !url.startsWith("data:")), []);
  assert.deepEqual(said, []);
});

test("light and dark are two looks", async () => {
  const grounds = new Set();
  for (const scheme of ["light", "dark"]) {
    await withPage({ width: 390, scheme }, async (page) => {
      grounds.add(await page.$eval("body", (body) => getComputedStyle(body).backgroundColor));
    });
  }
  assert.equal(grounds.size, 2);
});

test("a page whose server goes comes back with its channels when the server does", async () => {
  const first = await Server.startDev();
  await withPage({ width: 390, of: first }, async (page) => {
    await subscribed(page, FIRST);
    await first.stop();
    await page.waitForFunction(() => document.getElementById("state").dataset.state !== "connected", PATIENCE);
    const second = await Server.startDevAt(first.port);
    await subscribed(page, FIRST);
    await second.stop();
  });
});

/** Opens the page in a window of its own, and closes it afterwards. */
async function withPage({ width, scheme = "light", prepare = () => {}, of = server }, use) {
  const page = await browser.newPage();
  try {
    prepare(page);
    await page.setViewport({ width, height: 844 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.goto(`http://${of.host}:${of.port}/`);
    await use(page);
  } finally {
    await page.close();
  }
}

/** Waits until the page says that it is connected, and subscribed to exactly these. */
async function subscribed(page, channels) {
  await page.waitForFunction((wanted) => {
    const shown = [...document.querySelectorAll("#channels code")].map((code) => code.textContent);
    return document.getElementById("state").dataset.state === "connected" && shown.join() === wanted;
  }, { ...PATIENCE, timeout: 20_000 }, channels.join());
}

/** As `dev` says it is done. */
async function publish(channel, event, data) {
  const command = /^ +(PUSHER_URL=\S+) \S+ publish /m.exec(server.output);
  assert.ok(command, server.output);
  const env = { ...process.env, PUSHER_URL: command[1].slice("PUSHER_URL=".length) };
  await promisify(execFile)(BINARY, ["publish", channel, event, data], { env });
}
