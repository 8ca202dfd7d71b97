// The pages of a run and of a comparison in a real browser, on a phone and on a desk, light and dark.
//
// What is looked at is what a reader sees: visible plots with many points, text that can be read, nothing cut off or pushed out of
// the window, nothing fetched. CHROMIUM names the browser if it is not on the PATH as chromium.

import assert from "node:assert/strict";
import { access, constants, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import puppeteer from "puppeteer-core";

import { Reports } from "./reports.mjs";
import { contrasts, cutOff, hiddenCells, overlapping, plots, pushedOut } from "./sight.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "chromium";
const WIDTHS = [360, 700, 1400];
const SCHEMES = ["light", "dark"];
const PAGES = ["run", "comparison"];
const CONTRAST_MIN = 4.5;

let reports;
let browser;
let profile;

before(async () => {
  reports = await Reports.make();
  profile = await mkdtemp(path.join(tmpdir(), "corecast-browser-"));
  browser = await puppeteer.launch({
    browser: "chrome",
    executablePath: CHROMIUM.includes("/") ? CHROMIUM : await onPath(CHROMIUM),
    userDataDir: profile,
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await reports?.dispose();
  if (profile) await rm(profile, { recursive: true, force: true, maxRetries: 5 });
});

test("a run shows its percentiles and its rate over time", async () => {
  for (const width of WIDTHS) {
    const [seen] = await look("run", { width }, plots);
    assert.equal(seen.length, 2, `at ${width}: ${JSON.stringify(seen)}`);
    const [percentiles, rate] = seen;
    assert.match(percentiles.label, /^Latency by percentile.*p99 [\d.]+ ms/);
    assert.ok(percentiles.lines[0] > 50, `${percentiles.lines} points`);
    assert.match(rate.label, /^Deliveries over time.*between [\d,]+ \/s and [\d,]+ \/s/);
    assert.ok(rate.lines[0] > 8, `${rate.lines} points`);
  }
});

test("a comparison shows bars and a line for each target", async () => {
  for (const width of WIDTHS) {
    const [seen] = await look("comparison", { width }, plots);
    const percentiles = seen.find(({ label }) => label.startsWith("Latency by percentile"));
    assert.equal(percentiles?.lines.length, 3, `at ${width}: ${JSON.stringify(seen)}`);
    assert.ok(Math.min(...percentiles.lines) > 50, `${percentiles.lines} points`);
    const cost = seen.find(({ label }) => label.startsWith("Server CPU per delivery"));
    assert.equal(cost?.bars, 3);
    assert.match(cost.label, /first server: [\d.]+ µs · [\d.]+ ×, from .*; <b>second & last<\/b>: .*; floor: /);
  }
});

test("nothing is fetched and nothing is complained about", async () => {
  for (const name of PAGES) {
    const said = [];
    const asked = [];
    await look(name, { width: 1400, until: "networkidle0", before: (page) => {
      page.on("console", (message) => said.push(message.text()));
      page.on("pageerror", (error) => said.push(String(error)));
      page.on("request", (request) => asked.push(request.url()));
    } }, () => null);
    assert.deepEqual(asked.filter((url) => !url.startsWith("data:")), [reports[name]]);
    assert.deepEqual(said, []);
  }
});

test("text stands out from its ground, light and dark", async () => {
  for (const name of PAGES) {
    const grounds = new Set();
    for (const scheme of SCHEMES) {
      const [seen] = await look(name, { width: 1400, scheme }, contrasts);
      assert.ok(seen.length > 50, `only ${seen.length} texts were found`);
      const faint = seen.filter(({ ratio }) => ratio < CONTRAST_MIN);
      assert.deepEqual(faint, [], `${name}, ${scheme}`);
      grounds.add(seen[0].ground);
    }
    assert.equal(grounds.size, 2, "light and dark are two looks");
  }
});

test("nothing is pushed out of the window or cut off", async () => {
  for (const name of PAGES) {
    for (const width of [320, ...WIDTHS]) {
      const where = `${name} at ${width}`;
      const [wider, outside, covered] = await look(name, { width }, pushedOut, cutOff, overlapping);
      assert.equal(wider, 0, `${where} scrolls sideways`);
      assert.deepEqual(outside, [], `${where} has text outside of its figure`);
      assert.deepEqual(covered, [], `${where} has texts over each other`);
    }
  }
});

test("tables show all their columns on a phone and on a desk", async () => {
  for (const name of PAGES) {
    for (const width of [390, 1400]) {
      const [{ cells, outside }] = await look(name, { width }, hiddenCells);
      assert.ok(cells > 30, `only ${cells} cells were found`);
      assert.deepEqual(outside, [], `${name} at ${width}`);
    }
  }
});

test("a comparison says what its ratios are, and a logarithmic axis that it is one", async () => {
  const [text] = await look("comparison", { width: 1400 }, () => document.body.innerText);
  assert.match(text, /÷ floor: .* median of those ratios .* ratio of the two medians/);
  assert.match(text, /1\.00 × means as cheap/);
  assert.match(text, /logarithmic: each step is ten times rarer/);
});

/** Opens a page anew and returns what each of `sights`, which run inside it, sees. */
async function look(name, { width, scheme = "light", until = "load", before: prepare = () => {} }, ...sights) {
  const page = await browser.newPage();
  try {
    prepare(page);
    await page.setViewport({ width, height: 900 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.goto(reports[name], { waitUntil: until });
    const seen = [];
    for (const sight of sights) seen.push(await page.evaluate(sight));
    return seen;
  } finally {
    await page.close();
  }
}

async function onPath(program) {
  for (const folder of process.env.PATH.split(":")) {
    const file = path.join(folder, program);
    if (await access(file, constants.X_OK).then(() => true, () => false)) return file;
  }
  throw new Error(`${program} is not on the PATH: install chromium, or name a browser by CHROMIUM`);
}
