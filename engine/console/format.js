// Numbers and times as people read them.

import { language } from "./text.js";

const NONE = "–";

const formats = new Map();

function format(options) {
  const key = language() + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(language(), options));
  return formats.get(key);
}

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** Every digit. */
export function exact(value) {
  return known(value) ? format({ maximumFractionDigits: value < 10 && value % 1 ? 1 : 0 }).format(value) : NONE;
}

/** A few digits, for axes. */
export function short(value) {
  return known(value) ? format({ notation: "compact", maximumFractionDigits: 1 }).format(value) : NONE;
}

export function bytes(value) {
  if (!known(value)) return NONE;
  let unit = 0;
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${format({ maximumFractionDigits: digits }).format(value)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

export function micros(value) {
  if (!known(value)) return NONE;
  if (value < 1000) return `${exact(Math.round(value))} µs`;
  return value < 1e6 ? `${exact(value / 1000)} ms` : seconds(value / 1e6);
}

export function percent(share) {
  return known(share) ? format({ style: "percent", maximumFractionDigits: 0 }).format(share) : NONE;
}

/** How long, in the two largest units. */
export function seconds(value) {
  if (!known(value)) return NONE;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 10) return `${exact(value)} s`;
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => value >= size);
  const shown = [];
  let left = Math.floor(value);
  for (const [size, unit] of parts.slice(first, first + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) shown.push(`${count} ${unit}`);
  }
  return shown.join(" ");
}

/** A time of today by the clock, another one with its date. */
export function clock(ms) {
  if (!known(ms)) return NONE;
  // Swedes write dates and times as ISO 8601 does.
  const [day, time] = new Date(ms).toLocaleString("sv").split(" ");
  return day === new Date().toLocaleDateString("sv") ? time : `${day} ${time}`;
}
