import { Alarm, type Sleeper } from "./alarms.js";
import { TabmqError } from "./errors.js";

/** How long a verb waits, checked. */
export interface Patience {
  /** What errors call the verb. */
  readonly verb: string;
  readonly timeout_ms: number;
  readonly signal?: AbortSignal | undefined;
}

/** A longer timer fires at once in every engine, so such a wait has none. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** A promise that settles: by an answer, by the caller's signal or by its deadline. */
export class Pending<T> implements Sleeper {
  readonly promise: Promise<T>;
  readonly patience: Patience;
  settled = false;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;
  readonly #giveUp: () => boolean;
  readonly #why: (() => string | undefined) | undefined;
  /** When it ends, on the running clock. */
  readonly #due: number;
  readonly #alarm: Alarm | undefined;
  readonly #abort: (() => void) | undefined;

  /**
   * `giveUp` runs when the caller no longer waits; it tells whether the operation may happen. `why`
   * tells what keeps the hub from answering.
   */
  constructor(patience: Patience, giveUp: () => boolean, why?: () => string | undefined) {
    const { signal, timeout_ms } = patience;
    this.patience = patience;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    ignoreFailure(this.promise);
    this.#giveUp = giveUp;
    this.#why = why;
    this.#due = performance.now() + timeout_ms;
    if (timeout_ms <= TIMER_MS_MAX) this.#alarm = new Alarm(timeout_ms, this, this.#due);
    if (!signal) return;
    this.#abort = () => this.#stop("CANCELLED", "the signal aborted", signal.reason);
    signal.addEventListener("abort", this.#abort);
    if (signal.aborted) this.#abort();
  }

  /** Milliseconds until the deadline, at least 0. */
  get left_ms(): number {
    return Math.max(0, Math.ceil(this.#due - performance.now()));
  }

  /** The deadline has come. */
  ring(): void {
    this.#stop("TIMEOUT", `no answer within ${this.patience.timeout_ms} ms`);
  }

  cancel(): void {
    this.#stop("CANCELLED", "cancelled by its caller");
  }

  resolve(value: T): void {
    if (this.#settle()) this.#resolve(value);
  }

  reject(error: unknown): void {
    if (this.#settle()) this.#reject(error);
  }

  #settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.#alarm?.cancel();
    if (this.#abort) this.patience.signal?.removeEventListener("abort", this.#abort);
    return true;
  }

  #stop(code: "CANCELLED" | "TIMEOUT", text: string, cause?: unknown): void {
    if (this.settled) return;
    const { verb } = this.patience;
    const trouble = code === "TIMEOUT" ? this.#why?.() : undefined;
    const told = trouble ? `${text}; of the hub: ${trouble}` : text;
    const data = trouble ? { reason: "hub" } : {};
    const maybeExecuted = this.#giveUp();
    this.reject(new TabmqError(code, `${verb}: ${told}`, { maybeExecuted, cause, data }));
  }
}

/** Runs a verb up to its first promise. What it throws becomes a rejection that may be ignored. */
export function attempt<T>(begin: () => T | Promise<T>): Promise<T> {
  let promise: Promise<T>;
  try {
    // The very promise that it gave, if it gave one: to await it would make three more.
    promise = Promise.resolve(begin());
  } catch (error) {
    promise = Promise.reject(error);
  }
  ignoreFailure(promise);
  return promise;
}

const nothing = () => {};

/** A failure that nobody looks at is no unhandled rejection. */
export function ignoreFailure(promise: Promise<unknown>): void {
  promise.catch(nothing);
}
