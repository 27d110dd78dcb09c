// What the realms have recorded, as it comes in: kept whole for the checker, appended to a file for
// whoever looks for a cause, and watched for the first sign of life after an event.
import { createWriteStream } from "node:fs";
import { WebSocketServer } from "ws";
import { within } from "../lib/tab.mjs";

export class History {
  /** `{ realm, number, at_ms, kind, values }`, in the order of arrival. */
  records = [];
  counts = { sent: 0, confirmed: 0, refused: 0, effect: 0, duplicate: 0 };
  /** The realm that claimed the log last, as far as it was recorded. */
  host_realm;
  #seen = new Map();
  #awaited = new Set();
  #file;
  #sockets = new WebSocketServer({ noServer: true });

  constructor(path) {
    this.#file = createWriteStream(path);
  }

  /** Takes the socket over which a page or a worker sends what it records. */
  accept(request, socket, head) {
    const realm = new URL(request.url, "http://127.0.0.1").searchParams.get("realm");
    this.#sockets.handleUpgrade(request, socket, head, (accepted) => {
      // A process that is killed resets its connection.
      accepted.on("error", () => accepted.terminate());
      accepted.on("message", (data) => this.#add(realm, JSON.parse(data)));
    });
  }

  /** A fact of the run itself, such as an event. */
  note(kind, ...values) {
    const number = this.#seen.get("run")?.size ?? 0;
    this.#add("run", [number, unixNow(), kind, ...values]);
  }

  /** Resolves with how long after `since_ms` a message was confirmed that was sent after it. */
  recovery(since_ms, deadline_ms, what) {
    const waiting = { since_ms };
    const confirmed = new Promise((resolve) => (waiting.resolve = resolve));
    this.#awaited.add(waiting);
    const over = within(deadline_ms, what, confirmed);
    return over.finally(() => this.#awaited.delete(waiting));
  }

  close() {
    for (const client of this.#sockets.clients) client.terminate();
    return new Promise((resolve) => this.#file.end(resolve));
  }

  #add(realm, [number, at_ms, kind, ...values]) {
    const seen = this.#seen.get(realm) ?? new Set();
    this.#seen.set(realm, seen);
    if (seen.has(number)) return;
    seen.add(number);
    this.records.push({ realm, number, at_ms, kind, values });
    this.#file.write(`${JSON.stringify([realm, number, at_ms, kind, ...values])}\n`);
    if (kind in this.counts) this.counts[kind] += 1;
    if (kind === "claim" || (kind === "host" && values[2])) this.host_realm = realm;
    if (kind === "confirmed") this.#confirm(values[1], at_ms);
  }

  #confirm(begun_ms, at_ms) {
    for (const { since_ms, resolve } of this.#awaited) {
      if (begun_ms > since_ms) resolve(at_ms - since_ms);
    }
  }
}

export function unixNow() {
  return Math.round((performance.timeOrigin + performance.now()) * 10) / 10;
}
