// Elements, made so that whatever comes from the server stays text.

const CODE_UNITS_MAX = 16_384;
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

/** Text as it is, except that what cannot be seen, or changes how the rest is read, is shown by name. */
export function visible(value, codeUnitsMax = CODE_UNITS_MAX) {
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const cut = text.length > codeUnitsMax ? text.slice(0, codeUnitsMax) : text;
  return cut.replace(UNSEEN, nameOf) + (text === cut ? "" : "…");
}

/** The same on one line. */
export function visibleLine(value, codeUnitsMax = 512) {
  return visible(value, codeUnitsMax).replace(/[\t\n]/g, nameOf);
}

function nameOf(character) {
  const code = character.codePointAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "␡";
  return `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
}

/** An element: `on…` are listeners, true and false set and leave out, children are elements or text. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** Writes text where it differs, so that a selection stays and screen readers are not told twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
