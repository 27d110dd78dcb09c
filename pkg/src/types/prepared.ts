import type { Duration } from "../duration.js";
import type { Live, Wait } from "./common.js";
import type { QueuedMessage, Receipt, SendOptions } from "./queues.js";

/**
 * As for `send`. `delay`, `at` and `ttl` run from here; `confirm: "processed"` is waited for by
 * `commit`.
 */
export interface PrepareOptions extends Omit<SendOptions, "supersede"> {
  /**
   * Somebody is asked about the message (`onCheck`) when nobody decided for so long, and again
   * after as long, at least 1 ms. Default: the limit `prepared_check_after_ms` (one minute).
   */
  checkAfter?: Duration;
}

/** A message that is stored and that nobody gets before it is committed. */
export interface Prepared<Result = unknown> {
  /** Gives a handle again, in this tab or another: `queue.prepared(id)`. */
  readonly id: string;
  /**
   * Sends it: it stands behind what was sent before. Done again it resolves again. Rejects with
   * `DISCARDED` if it was rolled back (`data.reason`: `rollback`, or by the node `unanswered` or
   * `age`), with `NOT_FOUND` if nothing is known of it: never prepared, its queue deleted, or
   * decided about more than `limits.decisions_max` decisions ago.
   */
  commit(options?: Wait): Promise<Receipt<Result>>;
  /**
   * Drops it. Done again it resolves again. Rejects with `NOT_FOUND` and the reason `committed` if
   * it was committed, and with `NOT_FOUND` if nothing is known of it.
   */
  rollback(options?: Wait): Promise<void>;
}

/** A prepared message for which nobody decided. */
export interface CheckedMessage<Body> extends
  Omit<QueuedMessage<Body>, "state" | "attempts" | "deadReason" | "deaths"> {
  /** How often somebody was asked about it, this time included; `limits.prepared_checks_max`. */
  readonly checks: number;
}

/** `unknown`: somebody is asked again later. */
export type Verdict = "commit" | "rollback" | "unknown";

/** Answers for prepared messages of a queue until it is closed. */
export interface Checker extends Live {
  readonly queue: string;
}
