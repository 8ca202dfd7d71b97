// Calls of the admin API, and its streams of events.

/** A call that was refused or not answered: `status` is 0 without an answer. */
class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let onSignedOut = () => {};

/** Who is told when the server no longer knows this browser. */
export function whenSignedOut(told) {
  onSignedOut = told;
}

export function get(path, parameters = {}, signal = undefined) {
  return call(`console/${address(path, parameters)}`, { signal });
}

export function post(path, body = {}) {
  return call(`console/${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** A path with those parameters that have a value. */
export function address(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value != null && value !== "");
  const query = new URLSearchParams(given).toString();
  return path + (query && `?${query}`);
}

async function call(url, options) {
  const response = await answered(url, options);
  const text = await response.text();
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(response.status, text.slice(0, 200));
  }
}

async function answered(url, options) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, String(error.message));
  }
  if (response.ok) return response;
  if (response.status === 401) onSignedOut();
  throw new ApiError(response.status, reason(await response.text().catch(() => "")));
}

function reason(text) {
  try {
    const { error } = JSON.parse(text);
    if (typeof error === "string") return error;
  } catch {
    // A proxy in between answers as it likes.
  }
  return text.trim().slice(0, 300);
}

const LINE_CODE_UNITS_MAX = 8 << 20;

/** Reads one stream until it ends or is aborted: `on` is told each event's name and data. */
export async function stream(path, parameters, signal, on) {
  const response = await answered(`console/${address(path, parameters)}`, { signal, headers: { Accept: "text/event-stream" } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = "message";
  let data = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    on("", null);
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    if (rest.length > LINE_CODE_UNITS_MAX) throw new ApiError(0, "a line is too long");
    for (const raw of lines) {
      const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
      if (line === "") {
        if (data.length) on(event, JSON.parse(data.join("\n")));
        event = "message";
        data = [];
      } else if (line.startsWith("event:")) event = line.slice(6).trim();
      else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    }
  }
}
