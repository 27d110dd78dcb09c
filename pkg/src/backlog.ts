import { TabmqError } from "./errors.js";
import type { OwnLimits } from "./limits.js";
import type { RawBus } from "./raw.js";

/** A verb that is not given to the wasm side yet. */
export interface Waiting {
  /** What it carries, if it stores or says something. */
  readonly bytes?: Uint8Array | undefined;
  job(raw: RawBus): void;
  fail(error: unknown): void;
}

/** So much is shifted out before the rest moves up: to move it each time costs the square. */
const GONE_MAX = 1024;

/**
 * Verbs that wait for their turn. What carries something is bounded in number and bytes, all else
 * in number: whoever fills it with sends can still ask, declare and close behind them.
 */
export class Backlog {
  #entries: (Waiting | undefined)[] = [];
  #head = 0;
  #carrying = 0;
  #bytes = 0;

  get length(): number {
    return this.#entries.length - this.#head;
  }

  get first(): Waiting | undefined {
    return this.#entries[this.#head];
  }

  /** Takes one more in, or says why not. */
  push(entry: Waiting, limits: OwnLimits): TabmqError | undefined {
    const bytes = bytesOf(entry);
    const count = bytes ? this.#carrying : this.length - this.#carrying;
    if (count >= limits.requests_max) return full("requests_max", limits, bytes > 0);
    if (bytes && this.#bytes && this.#bytes + bytes > limits.request_bytes_max)
      return full("request_bytes_max", limits, true);
    this.#count(entry, 1);
    this.#entries.push(entry);
    return undefined;
  }

  /** It has had its turn, and waits for another one. */
  putBack(entry: Waiting): void {
    this.#count(entry, 1);
    if (this.#head) this.#entries[--this.#head] = entry;
    else this.#entries.unshift(entry);
  }

  shift(): Waiting | undefined {
    const entry = this.first;
    if (!entry) return undefined;
    this.#count(entry, -1);
    this.#entries[this.#head++] = undefined;
    if (this.#head < this.length && this.#head < GONE_MAX) return entry;
    this.#entries = this.#entries.slice(this.#head);
    this.#head = 0;
    return entry;
  }

  #count(entry: Waiting, by: 1 | -1): void {
    const bytes = bytesOf(entry);
    this.#bytes += by * bytes;
    if (bytes) this.#carrying += by;
  }
}

const bytesOf = ({ bytes }: Waiting) => bytes?.length ?? 0;

function full(reason: keyof OwnLimits, limits: OwnLimits, carries: boolean): TabmqError {
  const what = carries ? "messages" : "requests";
  const hint = carries ? "await sends, or use sendAll or writable, which wait" : "await them";
  const text = `too many ${what} have no answer: limits.${reason} is ${limits[reason]}; ${hint}`;
  return new TabmqError("FULL", text, { data: { reason } });
}
