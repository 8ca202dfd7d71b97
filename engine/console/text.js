// The language of the page: that of the browser, or the one that was chosen.

import en from "./en.js";
import zh from "./zh.js";
import { kept, keep } from "./kept.js";

const TEXTS = { en, zh };

let current = kept("language", ["en", "zh"]) ?? (/^zh\b/i.test(navigator.language) ? "zh" : "en");

export const language = () => current;

export function choose(wanted) {
  current = wanted;
  keep("language", wanted);
}

/** The text of a key, with values in place of {0}, {1}… */
export function t(key, ...values) {
  const text = TEXTS[current][key] ?? key;
  return values.length ? text.replace(/\{(\d)\}/g, (_, index) => values[index]) : text;
}
