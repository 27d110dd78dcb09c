import { setAlarm } from "./alarms.js";
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
export class Pending<T> {
  readonly promise: Promise<T>;
  readonly patience: Patience;
  settled = false;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;
  readonly #deadline: number;
  readonly #release: () => void;
  readonly #stop: (code: "CANCELLED" | "TIMEOUT", text: string, cause?: unknown) => void;

  /** `giveUp` runs when the caller no longer waits; it tells whether the operation may happen. */
  constructor(patience: Patience, giveUp: () => boolean) {
    const { signal, timeout_ms, verb } = patience;
    this.patience = patience;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    ignoreFailure(this.promise);
    this.#deadline = performance.now() + timeout_ms;
    this.#stop = (code, text, cause) => {
      if (this.settled) return;
      this.reject(new TabmqError(code, `${verb}: ${text}`, { maybeExecuted: giveUp(), cause }));
    };
    const abort = () => this.#stop("CANCELLED", "the signal aborted", signal?.reason);
    const expire = () => this.#stop("TIMEOUT", `no answer within ${timeout_ms} ms`);
    const takeBack = timeout_ms > TIMER_MS_MAX ? undefined : setAlarm(timeout_ms, expire);
    signal?.addEventListener("abort", abort);
    this.#release = () => {
      takeBack?.();
      signal?.removeEventListener("abort", abort);
    };
    if (signal?.aborted) abort();
  }

  /** Milliseconds until the deadline, at least 0. */
  get left_ms(): number {
    return Math.max(0, Math.ceil(this.#deadline - performance.now()));
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
    this.#release();
    return true;
  }
}

/** Runs a verb up to its first promise. What it throws becomes a rejection that may be ignored. */
export function attempt<T>(begin: () => T | Promise<T>): Promise<T> {
  const promise = (async () => begin())();
  ignoreFailure(promise);
  return promise;
}

/** A failure that nobody looks at is no unhandled rejection. */
export function ignoreFailure(promise: Promise<unknown>): void {
  promise.catch(() => {});
}
