// The whole server at a glance.

import { el } from "./dom.js";
import { bytes, exact, micros, percent, short } from "./format.js";
import { listen, samples } from "./live.js";
import { Plot, Plots, Spark } from "./plot.js";
import { Table } from "./table.js";
import { t } from "./text.js";

export const overview = { title: "overview", show };

const perSecond = (value) => `${bytes(value)}/s`;

function show(root, _, signal) {
  const of = (name) => (sample) => sample[name];
  const plots = new Plots([
    new Plot({ title: t("connections"), series: [["", of("connections")]], number: exact, axis: short }),
    new Plot({ title: t("deliveries_s"), series: [["", of("deliveries_per_s")]], number: exact, axis: short }),
    new Plot({ title: t("publishes_s"), series: [["", of("publishes_per_s")]], number: exact, axis: short }),
    new Plot({ title: t("latency"), series: [["p99", of("latency_p99_us")], ["p50", of("latency_p50_us")]], number: micros }),
    new Plot({ title: t("traffic"), series: [[t("out"), of("bytes_out_per_s")], [t("in"), of("bytes_in_per_s")]], number: perSecond, base: 1024 }),
    new Plot({ title: t("memory"), series: [["", of("memory_bytes")], [t("limit"), of("memory_high_bytes")]], scaled: [["", of("memory_bytes")]], number: bytes, base: 1024 }),
    new Plot({ title: t("waiting"), series: [["", of("waiting_bytes")]], number: bytes, base: 1024 }),
    new Plot({ title: t("busiest"), series: [["", busiest]], number: percent }),
    new Plot({ title: t("gates"), series: [["", gated]], number: percent }),
  ], samples);

  const cores = new Table(t("cores"), ({ name }) => name, [
    ["core", "name", ({ name }) => name],
    ["busy", "number", ({ busy }) => percent(busy)],
    ["last_minutes", "made", ({ name }) => spark(name).element],
    ["gated", "number", (core) => percent(core.gated)],
    ["connections", "number"],
  ]);
  const sparks = new Map();
  function spark(name) {
    if (!sparks.has(name)) sparks.set(name, new Spark(t("busy_of", name)));
    return sparks.get(name);
  }

  function draw() {
    if (document.hidden) return;
    plots.draw();
    const newest = samples.at(-1);
    cores.update(newest?.cores ?? []);
    for (const [name, line] of sparks) line.draw(samples, (sample) => sample.cores?.find((core) => core.name === name)?.busy, 1);
  }
  root.append(plots.when, plots.element, el("section", {}, el("h2", {}, t("cores")), cores.element));
  listen("sample", draw, signal);
  document.addEventListener("visibilitychange", draw, { signal });
  draw();
}

const busiest = ({ cores = [] }) => Math.max(...cores.map(({ busy }) => busy ?? 0));
const gated = ({ gates = {} }) => Math.max(0, ...Object.values(gates));
