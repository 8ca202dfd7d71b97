// The console in a real browser, with a server under load: what it shows of the server, at three widths in light and dark, by
// keyboard alone, in two languages, and who may see it.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  Line, PATIENCE, ROOM, TOKEN, address, ann, asked, button, clients, complaints, fetched, go, live, opened, page, said, server, status, tabTo,
} from "./console_stage.mjs";
import { APP } from "./server.mjs";

const BYTES_MAX = 80_000;
const WIDTHS = [360, 768, 1280];
const SCHEMES = ["light", "dark"];

test("a token in the address signs in and is gone from it", async () => {
  assert.equal(await page.evaluate(() => location.href.includes("token")), false);
  assert.equal(await page.evaluate(() => document.cookie), "", "scripts cannot read the cookie");
});

test("the overview plots connections, deliveries and each core", async () => {
  await go(page, "overview");
  await said(page, /Connections 3 /, /Cores .*shard/);
  const drawn = await page.$$eval(".plot .line-1", (lines) => lines.map((line) => line.getAttribute("d").length));
  assert.ok(drawn.length >= 9 && drawn.every((length) => length > 0), `${drawn}`);
  await page.waitForFunction(() => {
    const value = (title) => [...document.querySelectorAll(".plot")].find((plot) => plot.querySelector("h2").textContent === title)?.querySelector("b").textContent;
    return Number(value("Deliveries/s")) > 0 && Number(value("Publishes/s")) > 0;
  }, PATIENCE);
});

test("apps are listed with their connections, subscriptions and channels", async () => {
  await go(page, "apps");
  await said(page, new RegExp(`${APP.id} 3 3 2 on`));
});

test("arrow keys move through the time of the plots", async () => {
  await go(page, "overview");
  await page.waitForFunction(() => document.querySelector(".when").textContent === "Last 10 minutes", PATIENCE);
  await page.focus(".plots");
  await page.waitForFunction(() => document.querySelector(".plot .line-1").getAttribute("d").split(/[ML]/).length > 3, PATIENCE);
  await page.keyboard.press("ArrowLeft");
  await said(page, /At \d\d:\d\d:\d\d/);
  await page.keyboard.press("Escape");
  await said(page, /Last 10 minutes/);
});

test("a refusal is explained, and names what should have been signed", async () => {
  const client = await clients.connect({ authorize: (_, done) => done(null, { auth: `${APP.key}:${"0".repeat(64)}` }) });
  client.subscribe("private-orders");
  await go(page, "problems");
  await said(page, new RegExp(`${client.connection.socket_id}:private-orders`));
  client.disconnect();
});

test("settings show their origin, never a secret, and are filtered", async () => {
  await go(page, "settings");
  await said(page, /admin_token .*\*\*\*/, /corecast.toml/);
  assert.equal(await page.evaluate((secrets) => secrets.some((secret) => document.body.innerText.includes(secret)), [TOKEN, APP.secret]), false);
  await page.type("input[type=search]", "admin_tok");
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length < 5, PATIENCE);
  const shown = await page.$$eval("tbody tr", (rows) => rows.map((row) => row.cells[0].textContent));
  assert.ok(shown.length > 0 && shown.every((key) => key.includes("admin_tok")), `${shown}`);
});

test("client code has this server's host, port and key, and never a secret", async () => {
  await go(page, "try");
  await page.waitForFunction((port) => document.querySelectorAll(".snippets pre").length === 6
    && [...document.querySelectorAll(".snippets pre")].every((code) => code.textContent.includes(port)), PATIENCE, String(server.port));
  const lines = await page.$$eval(".snippets pre", (all) => all.map((code) => code.textContent));
  for (const text of lines) assert.ok(text.includes(APP.key) && !text.includes(APP.secret), text);
});

test("nodes say whether there is a cluster", async () => {
  await go(page, "nodes");
  await said(page, /not part of a cluster/);
});

test("nothing is wider than the window, at each width, light and dark", async () => {
  const backgrounds = new Set();
  for (const view of await views()) {
    await go(page, view);
    for (const width of WIDTHS) {
      for (const scheme of SCHEMES) {
        await page.setViewport({ width, height: 800 });
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        const seen = await page.evaluate(() => ({
          over: document.documentElement.scrollWidth - innerWidth,
          background: getComputedStyle(document.body).backgroundColor,
        }));
        assert.ok(seen.over <= 0, `${view} at ${width}: ${seen.over} px are pushed out`);
        backgrounds.add(seen.background);
      }
    }
  }
  assert.equal(backgrounds.size, 2);
});

test("the switch of colours has its way over the browser's wish, and texts are readable in both", async () => {
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\d.]+/g).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  await go(page, "problems");
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
  const grounds = [];
  for (const scheme of SCHEMES) {
    await page.select("#scheme", scheme);
    const colours = await page.evaluate(() => Object.fromEntries(["ground", "raised", "ink", "faint", "accent", "on-accent", "good", "bad"].map((name) => {
      const probe = document.createElement("i");
      probe.style.color = `var(--${name})`;
      document.body.append(probe);
      const { color } = getComputedStyle(probe);
      probe.remove();
      return [name, color];
    })));
    for (const text of ["ink", "faint", "accent", "good", "bad"]) {
      for (const ground of ["ground", "raised"]) {
        const found = contrast(colours[text], colours[ground]);
        assert.ok(found >= 4.5, `${text} on ${ground} in ${scheme}: ${found.toFixed(2)}`);
      }
    }
    assert.ok(contrast(colours["on-accent"], colours.accent) >= 4.5);
    grounds.push(colours.ground);
  }
  assert.notEqual(grounds[0], grounds[1]);
  await page.select("#scheme", "auto");
});

test("everything that can be operated has a name", async () => {
  const roles = ["button", "link", "textbox", "searchbox", "combobox", "checkbox", "image", "log", "region", "navigation"];
  const nameless = [];
  for (const view of await views()) {
    await go(page, view);
    const walk = (node) => {
      if (roles.includes(node.role) && !node.name) nameless.push(`${view}: ${JSON.stringify({ ...node, children: undefined })}`);
      for (const child of node.children ?? []) walk(child);
    };
    walk(await page.accessibility.snapshot({ interestingOnly: false }));
    const heads = await page.$$eval("h1", (all) => all.length);
    assert.equal(heads, 1, view);
  }
  assert.deepEqual(nameless, []);
});

test("by keyboard alone: signing out and in, a view, an event, and an action that is called off", async () => {
  await page.setViewport({ width: 1280, height: 800 });
  await go(page, "apps");
  await tabTo(page, "Sign out");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.matches("#sign-in input"), PATIENCE);
  await page.keyboard.type(TOKEN);
  await page.keyboard.press("Enter");
  await live(page);
  await tabTo(page, "Try it");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.matches("h1") && document.activeElement.textContent === "Try it", PATIENCE);
  await tabTo(page, "Publish an event");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.closest("dialog[open]"), PATIENCE);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !document.querySelector("dialog") && document.activeElement.textContent === "Publish an event", PATIENCE);
  await page.setViewport({ width: 360, height: 800 });
  await page.waitForFunction(() => !document.querySelector("#ways").offsetParent, PATIENCE);
  await tabTo(page, "Menu");
  await page.keyboard.press("Enter");
  await tabTo(page, "Nodes");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.textContent === "Nodes" && !document.querySelector("#ways").offsetParent, PATIENCE);
});

test("a wrong token is refused with words, and one who signs out sees nothing more", async () => {
  const other = await opened("#token=wrong");
  await said(other, /refused this token/);
  assert.equal(await other.evaluate(() => location.href.includes("token")), false);
  await other.type("#sign-in input", `${TOKEN}\n`);
  await live(other);
  await button(other, "Sign out");
  await said(other, /You are signed out/);
  assert.equal(await other.evaluate(() => fetch("console/settings").then((response) => response.status)), 401);
  await other.close();
});

test("a wrong host and calls from other pages are refused", async () => {
  assert.equal(await status("/", { Host: "evil.example" }), 403);
  assert.equal(await status("/console/settings", { Host: "evil.example", Authorization: `Bearer ${TOKEN}` }), 403);
  assert.equal(await status("/console/settings", { Authorization: `Bearer ${TOKEN}` }), 200);
  assert.equal(await status("/console/settings", {}), 401);
});

test("a lost stream is shown and comes back by itself", async () => {
  const [host, port] = address.split(":");
  const line = await Line.open(port, host);
  const other = await opened(`#token=${TOKEN}`, line.address);
  await live(other);
  await line.cut();
  await other.waitForFunction(() => document.querySelector("#state").dataset.state === "lost", PATIENCE);
  await line.mend();
  await live(other);
  await other.close();
  await line.cut();
});

test("both languages say everything, and the page speaks the browser's or the chosen one", async () => {
  const [en, zh] = await Promise.all(["en", "zh"].map(async (language) =>
    (await import(`data:text/javascript;charset=utf-8,${encodeURIComponent((await fetched(`/console/${language}.js`)).text)}`)).default));
  assert.deepEqual(Object.keys(en).sort(), Object.keys(zh).sort());
  for (const key of Object.keys(en)) {
    const [places, theirs] = [en, zh].map((texts) => (texts[key].match(/\{\d\}/g) ?? []).sort());
    assert.deepEqual(places, theirs, key);
  }
  await page.setViewport({ width: 1280, height: 800 });
  await page.select("#language", "zh");
  assert.equal(await page.evaluate(() => document.documentElement.lang), "zh-CN");
  await said(page, new RegExp(zh.settings), new RegExp(zh.sign_out));
  await page.select("#language", "en");
});

test("all files together are small, and may do nothing but what is theirs", async () => {
  const paths = ["/"];
  let size = 0;
  for (const path of paths) {
    const { text, headers } = await fetched(path);
    size += Buffer.byteLength(text);
    assert.match(headers["content-security-policy"] ?? "", /frame-ancestors 'none'/, path);
    assert.doesNotMatch(headers["content-security-policy"], /unsafe|\*|https?:/, path);
    assert.equal(headers["x-content-type-options"], "nosniff", path);
    assert.equal(headers["access-control-allow-origin"], undefined, path);
    const more = [...text.matchAll(/"console\/([a-z_]+\.(?:js|css))"|from "\.\/([a-z_]+\.js)"/g)].map(([, one, other]) => `/console/${one ?? other}`);
    paths.push(...new Set(more.filter((found) => !paths.includes(found))));
  }
  assert.ok(paths.length > 10 && size <= BYTES_MAX, `${paths.length} files of ${size} bytes`);
});

test("no page has asked another host, or complained", async () => {
  assert.ok(asked.length > 20);
  assert.deepEqual(asked.filter((url) => !/^(http:\/\/127\.0\.0\.1:\d+\/|data:)/.test(url)), []);
  // What the tests provoke: a wrong token, no session, and a line that was cut.
  const expected = /status of 40[134]|ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_SOCKET_NOT_CONNECTED/;
  assert.deepEqual(complaints.filter((text) => !expected.test(text)), []);
});

async function views() {
  const listed = await page.$$eval("#ways a", (links) => links.map((link) => link.getAttribute("href").slice(2)));
  assert.equal(listed.length, 9);
  return [...listed, `channel?app=${APP.id}&name=${ROOM}`, `connection?socket_id=${ann.connection.socket_id}`];
}
