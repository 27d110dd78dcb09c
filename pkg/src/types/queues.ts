import type { Duration } from "../duration.js";
import type { Durability, Live, Wait } from "./common.js";
import type { Message, MessageOptions } from "./messages.js";

export interface QueueOptions {
  /** Structural: a queue that exists with another one refuses with `DUPLICATE_DECLARE`. */
  durability?: Durability;
  /** The other options of the highest version win. */
  version?: number;
  /** Default 30 s; renewed by itself while a handler of `process` runs. */
  lease?: Duration;
  /** Default 5; then the message goes to the dead-letter queue. */
  maxDeliver?: number;
  /** Default: 1 s, doubled each time, at most 5 min, jitter 20 %. A duration never changes. */
  backoff?: Backoff;
  /** Structural. Default `<name>.dead`; `false` discards. */
  deadLetter?: string | false;
  /** Messages of the queue; see `overflow`. */
  maxLength?: number;
  /** Their bodies, encoded, in bytes. */
  maxBytes?: number;
  /**
   * What happens at `maxLength` and `maxBytes`. `reject` (the default): a send or batch that does
   * not fit rejects with `FULL`; ready, delayed and leased messages count. `drop-oldest`: the
   * oldest are discarded until the rest fits, as in a ring. `dead-letter`: they go to the
   * dead-letter queue with the reason `overflow`. With these two, leased messages do not count.
   */
  overflow?: "reject" | "drop-oldest" | "dead-letter";
}

export type Backoff =
  | Duration
  | { first?: Duration; factor?: number; max?: Duration; jitter?: number };

export interface QueueInfo {
  /** Could be delivered now. */
  readonly ready: number;
  /** Waits for a time. */
  readonly delayed: number;
  /** Is delivered and not settled. */
  readonly leased: number;
  readonly consumers: number;
  /** Since the log began. */
  readonly sentTotal: number;
  readonly ackedTotal: number;
  readonly redeliveredTotal: number;
  readonly deadLetteredTotal: number;
  readonly discardedTotal: number;
}

export interface SendOptions extends MessageOptions, Wait {
  /** Not delivered before this much time. */
  delay?: Duration;
  /** Not delivered before this time. */
  at?: Date;
  durability?: Durability;
}

export type BatchItem<Body> = { body: Body } & MessageOptions & Pick<SendOptions, "delay" | "at">;
export type BatchOptions = Wait & Pick<SendOptions, "durability">;

/** The message is written on this device. */
export interface Receipt {
  readonly id: string;
  readonly duplicate: boolean;
  readonly stored: {
    readonly at: "device";
    readonly durability: Durability;
    readonly evictable: boolean;
  };
}

export interface ConsumeOptions {
  /** Handlers at a time. Default 1. */
  concurrency?: number;
  /** Deliveries held without a settlement. Default `concurrency`. */
  prefetch?: number;
  /** Their bodies in bytes; one delivery may always come. Default 16 MiB. */
  prefetchBytes?: number;
  /** Closes the consumer. */
  signal?: AbortSignal;
}

/** A message under a lease. Leaving `await using` without a settlement releases it. */
export interface Delivery<Body> extends Message<Body>, AsyncDisposable {
  /** 1 for the first delivery. */
  readonly attempt: number;
  readonly storedAt: Date;
  /** Why it is in a dead-letter queue. */
  readonly deadReason: string | undefined;
  /** Aborts when the lease is lost: stop working on the message. */
  readonly signal: AbortSignal;
  /** Done. Rejects with `STALE_LEASE` if the lease ended before; then nothing was changed. */
  ack(options?: Wait): Promise<void>;
  /** Failed: deliver it again, after `after` or the queue's backoff. */
  retry(options?: Wait & { after?: Duration; reason?: string }): Promise<void>;
  nack(options?: Wait & { after?: Duration; reason?: string }): Promise<void>;
  /** To the dead-letter queue. */
  reject(reason?: string, options?: Wait): Promise<void>;
  /** Back to its place. Not a failure, not counted. */
  release(options?: Wait): Promise<void>;
  /** The lease starts again, for `lease` or the queue's length. */
  extend(lease?: Duration, options?: Wait): Promise<void>;
}

export interface Consumer extends Live {
  readonly queue: string;
}

export interface Queue<Body, Result = unknown> {
  readonly name: string;
  /** Resolves when the message is written on this device at its durability. */
  send(body: Body, options?: SendOptions): Promise<Receipt>;
  /** All items or none, in order. */
  sendBatch(items: readonly BatchItem<Body>[], options?: BatchOptions): Promise<Receipt[]>;
  /** Ack on return, retry on throw; see `Retry` and `Reject`. */
  process(handler: (job: Delivery<Body>) => Result | Promise<Result>): Consumer;
  process(
    options: ConsumeOptions,
    handler: (job: Delivery<Body>) => Result | Promise<Result>,
  ): Consumer;
  /** Iterate it and settle each delivery. `break` closes it. */
  consume(options?: ConsumeOptions): Consumer & AsyncIterable<Delivery<Body>>;
  /** Up to `max` of what is there, else the first that comes; `[]` when the time is over. */
  receive(options?: Wait & { max?: number }): Promise<Delivery<Body>[]>;
  readonly deadLetters: Queue<Body, Result>;
  info(options?: Wait): Promise<QueueInfo>;
  /** Declares the queue; rejects with `DUPLICATE_DECLARE` if it exists with other options. */
  ready(options?: Wait): Promise<QueueInfo>;
}
