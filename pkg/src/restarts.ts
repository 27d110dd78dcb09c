import { TabmqError } from "./errors.js";

/** What begins anew does so less often than this, and then no more for a while. */
const RESTARTS_MAX = 3;
const RESTARTS_PER_MS = 60_000;

/** Counts how often something began anew. */
export class Restarts {
  #times: number[] = [];

  /** Counts one more, unless that is too many: then it is false. */
  count(): boolean {
    const now = performance.now();
    this.#times = this.#times.filter((at) => now - at < RESTARTS_PER_MS);
    if (this.#times.length >= RESTARTS_MAX - 1) return false;
    this.#times.push(now);
    return true;
  }
}

/** What all that was under way in an instance ends with that trapped. */
export function coreFailed(cause: unknown): TabmqError {
  const options = { cause, maybeExecuted: true };
  return new TabmqError("INTERNAL", "the wasm module failed", options);
}
