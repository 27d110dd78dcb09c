import type { Duration } from "../duration.js";
import type { Watch } from "../watch.js";
import type { Durability, Keeping, Live, MessageHeaders, Wait } from "./common.js";
import type { Ingested, IngestOptions, IngestStream } from "./ingest.js";
import type { Message, MessageOptions } from "./messages.js";
import type {
  CheckedMessage,
  Checker,
  Prepared,
  PrepareOptions,
  Verdict,
} from "./prepared.js";
import type { QueueInfo, QueueStats } from "./queue-options.js";
import type {
  SamplingOptions,
  SamplingTime,
  Schedule,
  ScheduleOptions,
  ScheduleTime,
} from "./schedules.js";
import type { Transaction } from "./transactions.js";

export interface SendOptions extends MessageOptions, Wait {
  /** Not delivered before this much time. */
  delay?: Duration;
  /** Not delivered before this time. */
  at?: Date;
  /**
   * It expires so long after the node stored it, delayed or not, at least 1 ms: if nobody holds it
   * then, it leaves its queue, and else when it is given back. Counted by the clock of the host.
   */
  ttl?: Duration;
  /**
   * What has to be so before it is confirmed. `relaxed`: written in storage; it survives the death
   * of every tab. `strict`: flushed; it survives the loss of power, as far as the platform says.
   * `memory`: the weakest promise, the only one of a host without storage; a host that has storage
   * writes it all the same. Default: that of the queue, then that of the bus.
   */
  durability?: Durability;
  /**
   * From 0 (the default) up to below the `priorities` of the queue, else `INVALID`. Higher ones are
   * delivered first. Kept through retries, dead letters and moves.
   */
  priority?: number;
  /**
   * This message makes an earlier one of this tab worthless that was sent to the queue with the
   * same `supersede`. If no host can have that one yet it is dropped, and rejects with `DISCARDED`
   * (`superseded`). At most `limits.name_bytes_max` bytes.
   */
  supersede?: string;
  /** The receipt can be asked for the delivery and for what the handler returns. */
  track?: boolean;
  /** `processed`: resolves only when the message was processed. Default `device`: when written. */
  confirm?: "device" | "hub" | "processed";
}

export type BatchItem<Body> = { body: Body } & MessageOptions
  & Pick<SendOptions, "delay" | "at" | "ttl" | "priority" | "track">;
export type BatchOptions = Wait & Pick<SendOptions, "durability">;

/**
 * What becomes of a message. Needs `track` or `confirm: "processed"` at the send, else both verbs
 * reject with `INVALID`; later than `keepResults` after its end with `NOT_FOUND`.
 */
export interface Tracking<Result = unknown> {
  readonly id: string;
  /** Resolves when a consumer has the message, at its first delivery. */
  delivered(options?: Wait): Promise<void>;
  /**
   * Resolves with what the handler returned, or with the value of `ack`. Rejects with
   * `DEAD_LETTERED` or `DISCARDED` and the reason. `onProgress` is told what `job.progress` tells.
   */
  processed(
    options?: Wait & { onProgress?: (value: unknown) => unknown },
  ): Promise<Awaited<Result>>;
}

/** The message is written on this device. */
export interface Receipt<Result = unknown> extends Tracking<Result> {
  /**
   * The queue remembers the id (`dedupe`), so this message is not stored and the first one counts.
   * It can be tracked if the first one was sent with `track`.
   */
  readonly duplicate: boolean;
  /** The `number` of the first message, if this one is a duplicate. */
  readonly duplicateOf: number | undefined;
  /** Where, and how safe it is there. The `durability` is that of this message. */
  readonly stored: Keeping & { readonly at: "device" | "hub" };
}

export interface ConsumeOptions {
  /** Handlers at a time. Default 1. */
  concurrency?: number;
  /** Deliveries held without a settlement. Default `concurrency`. */
  prefetch?: number;
  /** Their bodies in bytes; one delivery may always come. Default 16 MiB. */
  prefetchBytes?: number;
  /**
   * A whole number, default 0. A higher one is served first, as long as it has credit. Among equals
   * consumers of visible pages come first.
   */
  priority?: number;
  /** Deliveries come without their bodies; `bodyBytes` tells how long these are. */
  headersOnly?: boolean;
  /**
   * `before`: each message is acknowledged before it is handled, so it is handled at most once and
   * lost if that fails. Default `after`.
   */
  ack?: "after" | "before";
  /** Closes the consumer. */
  signal?: AbortSignal;
}

/**
 * Why a message became a dead letter. `rejected`: its consumer would not have it. `deliveries-max`:
 * its last delivery failed. `lease-lost`: the lease of its last delivery ran out, or the consumer
 * died. `overflow`: its queue was full. `expired`: it outlived its time to live.
 */
export type DeathReason = "rejected" | "deliveries-max" | "lease-lost" | "overflow" | "expired";

/** All deaths of one message in one queue for one reason. */
export interface Death {
  /** The queue it died in. */
  readonly queue: string;
  readonly reason: DeathReason;
  readonly count: number;
  /** Failed deliveries, over all of these deaths. */
  readonly attempts: number;
  /** By the wall clock of the host. */
  readonly firstAt: Date;
  readonly lastAt: Date;
  /** What the consumer said the last time. */
  readonly note: string | undefined;
}

/** A message under a lease. Leaving `await using` without a settlement releases it. */
export interface Delivery<Body> extends Message<Body>, AsyncDisposable {
  /** Its place in the order of the log; it keeps it for life. */
  readonly number: number;
  /** 1 for the first delivery. */
  readonly attempt: number;
  readonly storedAt: Date;
  /** Why it is in a dead-letter queue. */
  readonly deadReason: string | undefined;
  /** The encoded length of a body that did not come, for consumers with `headersOnly`. */
  readonly bodyBytes: number | undefined;
  /**
   * How and where it died so far, the last death first; those of one queue and reason are one.
   * They stay with a message that was moved back. At most `limits.deaths_max`.
   */
  readonly deaths: readonly Death[];
  /** As it was sent. */
  readonly priority: number;
  /** Its acknowledgement is stored: the message never comes again. */
  readonly acked: boolean;
  /** Aborts when the lease is lost: stop working on the message. */
  readonly signal: AbortSignal;
  /**
   * Done. `value` goes to the producer, if it tracks the message. Rejects with `STALE_LEASE` if the
   * lease ended before; then nothing was changed. With `multiple` every delivery that its consumer
   * got earlier and that is not settled is done as well, without a value; it rejects if one of them
   * was stale, and the others are done all the same.
   */
  ack(value?: unknown, options?: Wait & { multiple?: boolean }): Promise<void>;
  /**
   * What is staged here is stored with `ack`, or with the return of a handler of `process`: the
   * acknowledgement and all of it, or nothing. It is dropped when the delivery ends otherwise. If a
   * message is refused, `ack` rejects as the send would and the delivery stays out; in `process` it
   * then counts as failed. Throws `STALE_LEASE` once the delivery is settled or lost.
   */
  readonly tx: Transaction;
  /** Tells a producer that waits for the result how far it is. Nothing is stored. */
  progress(value: unknown): void;
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

/** Which messages are meant: those that fit all that is given. */
export interface Where {
  /** Why they came to the dead letters. */
  reason?: DeathReason;
  /** The queue they came from as dead letters. */
  queue?: string;
  ids?: readonly string[];
  /** Headers that they have, with these values. */
  headers?: MessageHeaders;
}

/** Which dead letters are moved back, and how. */
export interface RedriveOptions extends Wait {
  /** Those that fit all that is given. */
  where?: Where;
  /** At most so many a second. Without a `timeout` it then waits for as long as it takes. */
  rate?: number;
  /** At most so many in all. */
  max?: number;
  /** To this queue. By default each goes back to the one it came from. */
  into?: string;
}

export interface Consumer extends Live {
  readonly queue: string;
  /**
   * Whether the queue serves this consumer: always, unless it has a single active consumer and that
   * is another, or this one was too `slow`.
   */
  readonly active: Watch<boolean>;
  readonly paused: boolean;
  /** No more deliveries until `resume`. Handlers that run go on; what came waits. */
  pause(): void;
  resume(): void;
}

/** A message that was looked at and not taken. */
export interface QueuedMessage<Body> extends Message<Body> {
  /** Higher for what was stored later. */
  readonly number: number;
  readonly state: "ready" | "delayed" | "leased";
  /** Failed deliveries. */
  readonly attempts: number;
  readonly storedAt: Date;
  /** When it comes due, if it is delayed. */
  readonly dueAt: Date | undefined;
  /** When it expires, if it does. */
  readonly expiresAt: Date | undefined;
  readonly bodyBytes: number;
  readonly deadReason: string | undefined;
  readonly deaths: readonly Death[];
  readonly priority: number;
}

export interface BrowseOptions extends Wait {
  /** At most so many messages. */
  limit?: number;
  /** Those that wait for a time as well. */
  delayed?: boolean;
  /** Those that are delivered and not settled as well. */
  leased?: boolean;
  /** `body` is undefined. */
  headersOnly?: boolean;
}

export interface Queue<Body, Result = unknown> {
  readonly name: string;
  /**
   * Resolves when the message is written on this device at its durability. The sends of one client
   * settle in the order in which they were asked for, refused ones as well.
   */
  send(body: Body, options?: SendOptions): Promise<Receipt<Result>>;
  /** All items or none, in order. */
  sendBatch(
    items: readonly BatchItem<Body>[],
    options?: BatchOptions,
  ): Promise<Receipt<Result>[]>;
  /**
   * Many items in batches, each of which is stored as a whole, in order, as fast as the host keeps
   * up. Rejects with the error of the first batch that failed; `data.stored` says how many items
   * before it are stored. One behind it that was on its way at that moment may be stored, too.
   */
  sendAll(
    items: Iterable<BatchItem<Body>> | AsyncIterable<BatchItem<Body>>,
    options?: IngestOptions,
  ): Promise<Ingested>;
  /** The same as a stream to pipe into. */
  writable(options?: IngestOptions): IngestStream<Body>;
  /**
   * Stores a message that nobody gets before it is committed; if it is rolled back it is gone. It
   * outlives this tab. Until then it is in no count but `prepared`, and takes up room as others
   * do, so that a commit is not refused for lack of it: rejects with `FULL`. One of an `id` that is
   * prepared already is that one.
   */
  prepare(body: Body, options?: PrepareOptions): Promise<Prepared<Result>>;
  /** The message that was prepared under this id, also by another tab or before a reload. */
  prepared(id: string): Prepared<Result>;
  /**
   * Answers for prepared messages of this queue, by whichever tab, for which nobody decided: one of
   * those who do is asked after `checkAfter`, another one the next time. After
   * `limits.prepared_checks_max` questions (15), or `limits.prepared_age_ms_max` (4 hours), the
   * node rolls the message back and tells so on `$tabmq.queue.rolled-back.<queue>`. A handler that
   * throws does not know.
   */
  onCheck(
    handler: (message: CheckedMessage<Body>) => Verdict | Promise<Verdict>,
    options?: { signal?: AbortSignal },
  ): Checker;
  /** What becomes of a message sent with `track`, also by another tab or before a reload. */
  receipt(id: string): Tracking<Result>;
  /** Ack on return, retry on throw; see `Retry` and `Reject`. */
  process(handler: (job: Delivery<Body>) => Result | Promise<Result>): Consumer;
  process(
    options: ConsumeOptions,
    handler: (job: Delivery<Body>) => Result | Promise<Result>,
  ): Consumer;
  /** Iterate it and settle each delivery. `break` closes it. */
  consume(options?: ConsumeOptions): Consumer & AsyncIterable<Delivery<Body>>;
  /**
   * Up to `max` of what is there, whose bodies have `maxBytes` together, else the first that comes;
   * `[]` when the time is over. With `timeout: 0` what is there now.
   */
  receive(options?: Wait & { max?: number; maxBytes?: number }): Promise<Delivery<Body>[]>;
  /** Looks at the messages in their order and takes none. What comes meanwhile comes last. */
  browse(options?: BrowseOptions): AsyncIterable<QueuedMessage<Body>>;
  /** Sends go on; nothing is delivered until `resume`, or for so long. Survives reloads. */
  pause(options?: Wait & { for?: Duration }): Promise<void>;
  resume(options?: Wait): Promise<void>;
  /**
   * Takes back a message that waits, also for its time, by the id of its receipt, and tells whether
   * it did: `false` if it is delivered, or has left, or never came. Its receipt rejects with
   * `DISCARDED` and the reason `cancelled`. A message that is tracked is found at once; for another
   * the queue is looked through.
   */
  cancel(id: string, options?: Wait): Promise<boolean>;
  /** Discards what is there and not delivered, and tells how much. */
  purge(options?: Wait): Promise<number>;
  /**
   * Deletes the queue and its messages, and tells how many. Its consumers close with `NOT_FOUND`.
   * Rejects with `INVALID` if it has consumers (`ifUnused`) or messages (`ifEmpty`).
   */
  delete(options?: Wait & { ifUnused?: boolean; ifEmpty?: boolean }): Promise<number>;
  /** The queue `<name>.dead`, or the one of `deadLetter`. */
  readonly deadLetters: Queue<Body, Result>;
  /**
   * Moves the dead letters of this queue back to it, with their history and in their order, and
   * tells how many. Of `deadLetters` it moves all that are there, each to where it came from. What
   * is delivered, and what a queue has no room for, stays. A signal or timeout stops it; what was
   * moved stays moved.
   */
  redrive(options?: RedriveOptions): Promise<number>;
  /**
   * Has the node send a message by itself, at times that come again or once; a schedule of the
   * same key is replaced. Resolves once it is stored. The node fires it once for each time,
   * whichever tab hosts, and not before; of the times at which nobody hosted one is made up for. If
   * `when` is the same as before, the next time stays. While the queue is full the message is held
   * back. Rejects with `INVALID` for a time that is none or a zone that is not known.
   */
  schedule(
    key: string,
    when: ScheduleTime,
    body: Body,
    options?: ScheduleOptions,
  ): Promise<Schedule>;
  /**
   * Has the node send the latest value of a topic, at times that come again: at most one value for
   * each time, and none twice. The value is in the memory of the host, so when another tab hosts,
   * only what is published from then on counts. While the queue is full it is held back, and a
   * newer one takes its place. It has an id of its own. Rejects with `INVALID` for a wildcard, a
   * topic of the system, and a body.
   */
  schedule(
    key: string,
    when: SamplingTime,
    body?: undefined,
    options?: SamplingOptions,
  ): Promise<Schedule>;
  /** Ends a schedule, and tells whether it was there. What it has sent stays. */
  unschedule(key: string, options?: Wait): Promise<boolean>;
  /** The schedules of this queue, in the order of their keys. */
  schedules(options?: Wait): Promise<Schedule[]>;
  info(options?: Wait): Promise<QueueInfo>;
  /**
   * The queue as it changes, for dashboards: told a few times a second at most, and asked for only
   * while somebody subscribes. `get` answers the same object until something changed.
   */
  readonly stats: Watch<QueueStats>;
  /** Declares the queue; rejects with `DUPLICATE_DECLARE` if it exists with other options. */
  ready(options?: Wait): Promise<QueueInfo>;
}
