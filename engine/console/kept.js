// What the browser keeps for the next visit: choices, never the token.

const PREFIX = "corecast-console-";

/** What was chosen, if it is one of these. */
export function kept(name, choices) {
  try {
    const value = localStorage.getItem(PREFIX + name);
    return choices.includes(value) ? value : null;
  } catch {
    return null;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // A browser that keeps nothing shows the page all the same.
  }
}
