// The stream of samples: the last ten minutes, and the newest of everything else. It comes back by itself when it is lost.

import { stream } from "./api.js";

const SAMPLES_MAX = 600;
const SILENCE_MS_MAX = 8_000;
const UNSEEN_MS_MAX = 30_000;
const PAUSES_MS = [500, 1_000, 2_000, 4_000, 8_000];

export const samples = [];
/** The newest of each kind of event but samples. */
export const latest = new Map();
/** Its state is `off`, `connecting`, `live` or `lost`. */
export const status = { state: "off" };

const changed = new EventTarget();
let running = null;
let unseen = 0;

// Browsers have six connections to a host: a page that is out of sight leaves its own to others.
document.addEventListener("visibilitychange", () => {
  clearTimeout(unseen);
  if (document.hidden) unseen = setTimeout(() => running?.abort(), UNSEEN_MS_MAX);
  else if (running?.signal.aborted) {
    running = null;
    start();
  }
});

/** Hears of events by name, and of `status`, until the signal aborts. */
export function listen(name, heard, signal) {
  changed.addEventListener(name, heard, { signal });
}

export function start() {
  if (running) return;
  running = new AbortController();
  run(running.signal);
}

export function stop() {
  running?.abort();
  running = null;
  samples.length = 0;
  latest.clear();
  turn("off");
}

function turn(state) {
  status.state = state;
  changed.dispatchEvent(new Event("status"));
}

async function run(signal) {
  for (let failures = 0; !signal.aborted;) {
    turn(status.state === "lost" ? "lost" : "connecting");
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    signal.addEventListener("abort", abort);
    let silent = setTimeout(abort, SILENCE_MS_MAX);
    try {
      await stream("stream", {}, attempt.signal, (name, data) => {
        clearTimeout(silent);
        silent = setTimeout(abort, SILENCE_MS_MAX);
        failures = 0;
        if (status.state !== "live") turn("live");
        if (name) take(name, data);
      });
    } catch (error) {
      // What cannot be read is an end like any other; a refusal has its own way.
      if (error.status === 401) return;
    } finally {
      clearTimeout(silent);
      signal.removeEventListener("abort", abort);
    }
    if (signal.aborted) return;
    const pause = PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)];
    failures += 1;
    turn("lost");
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

function take(name, data) {
  if (name === "history") samples.splice(0, samples.length, ...data.slice(-SAMPLES_MAX));
  else if (name === "sample") {
    samples.push(data);
    if (samples.length > SAMPLES_MAX) samples.shift();
  } else latest.set(name, data);
  changed.dispatchEvent(new Event(name === "history" ? "sample" : name));
}
