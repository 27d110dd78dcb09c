// What this realm has seen, sent to the test server as it happens. A record that had not left the
// process when it was killed is missing: the checker then knows less, and nothing wrong.
//
// Over a socket, because requests would take the few connections that a browser has for a host, and
// pages could not load beside them.

const AGAIN_MS = 200;

export const unixNow = () => performance.timeOrigin + performance.now();

const waiting = [];
let count = 0;
let realm;
let socket;

/** Names the realm and begins to send. No other realm has that name, also no later one of a tab. */
export function nameRealm(place) {
  realm = `${place}-${Math.round(performance.timeOrigin).toString(36)}`;
  dial();
  return realm;
}

/** Adds a record. Its number is its place among those of this realm. */
export function record(kind, ...values) {
  waiting.push(JSON.stringify([count, Math.round(unixNow() * 10) / 10, kind, ...values]));
  count += 1;
  send();
}

function send() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  for (const text of waiting.splice(0)) socket.send(text);
}

function dial() {
  const dialled = new WebSocket(`ws://${location.host}/__history?realm=${realm}`);
  socket = dialled;
  dialled.onopen = send;
  dialled.onclose = () => setTimeout(() => socket === dialled && dial(), AGAIN_MS);
}

// An open socket may keep a page out of the back/forward cache.
globalThis.addEventListener("pagehide", () => {
  const left = socket;
  socket = undefined;
  left?.close();
});
globalThis.addEventListener("pageshow", ({ persisted }) => persisted && dial());
