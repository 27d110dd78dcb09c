import type { Duration } from "../duration.js";
import type { Durability, Home } from "./common.js";

/**
 * A consumer is slow if it has not settled a delivery `after` so long, whatever it extends, while
 * messages wait in the queue. It is looked at every `after`, and told as the advisory
 * `slow-consumer`.
 */
export interface SlowOptions {
  /** Longer than a handler ever needs. */
  after: Duration;
  /**
   * `notify`, the default: nothing more. `detach`: if another consumer can take over, what it holds
   * goes back, which is no failed attempt, its deliveries are lost to it, and it gets no more until
   * its handlers are done, its iteration asks for the next, it settles something or is resumed.
   */
  policy?: "notify" | "detach";
}

export interface QueueOptions {
  /** Structural: a queue that exists with another one refuses with `DUPLICATE_DECLARE`. */
  durability?: Durability;
  /** The other options of the highest version win. */
  version?: number;
  /** Default 30 s; renewed by itself while a handler of `process` runs. */
  lease?: Duration;
  /** Default 5; then the message goes to the dead-letter queue. */
  maxDeliver?: number;
  /** Default: 1 s, doubled each time, at most 5 min, jitter 20 %. */
  backoff?: Backoff;
  /** Structural. Default `<name>.dead`; `false` discards. */
  deadLetter?: string | false;
  /** Messages of the queue; see `overflow`. */
  maxLength?: number;
  /** Their bodies, encoded, in bytes. */
  maxBytes?: number;
  /**
   * Messages of one `key`, at least 1. Counted, and let go, as `overflow` says of `maxLength`: a
   * send that is refused rejects with `FULL`, and `data.key` names a key for which there is no
   * room; else the oldest message of the key makes room. Messages without a key are not counted.
   * Default: no limit. Not with `lastValue`.
   */
  maxPerKey?: number;
  /**
   * Structural. A message takes the place of every earlier one with its `key` that nobody holds,
   * ready, delayed or waiting for its next attempt; it stands at the end, as what comes last does.
   * One that is held is finished: the newer one comes when it is settled, and a value that is given
   * back or fails when a newer one waits is gone. What is replaced is discarded with the reason
   * `replaced`, whatever `overflow` says. Messages without a key are never replaced. The key takes
   * turns as with `order: "key"`; `order: "fifo"` beside it is refused with `INVALID`.
   */
  lastValue?: boolean;
  /**
   * How often a message is delivered, the same one again included: `limit` per `per`, at an
   * even pace, and up to `burst` (default `limit`) at once after a time in which fewer came. So in
   * any while of `per` there are at most `burst + limit`; with `burst: 1` they come one by one. By
   * the running clock of the host. Another host begins without a burst. Default: no limit.
   */
  rate?: { limit: number; per: Duration; burst?: number };
  /**
   * What happens at `maxLength` and `maxBytes`. `reject` (the default): a send or batch that does
   * not fit rejects with `FULL`; ready, delayed and leased messages count. `drop-oldest`: the
   * oldest are discarded until the rest fits, as in a ring. `dead-letter`: they go to the
   * dead-letter queue with the reason `overflow`. With these two, leased messages do not count.
   */
  overflow?: "reject" | "drop-oldest" | "dead-letter";
  /**
   * Structural. `fifo` (the default): messages come in the order of the queue, several at a time.
   * `key`: for each `key` one after the other, to whichever consumer is free, and freely otherwise.
   * A message comes only when the one before it with its key is settled; those without a key wait
   * for nothing, and one with a `delay` takes its place when it is due. A consumer that stands
   * still holds up only the keys it has, for `lease` at most.
   */
  order?: "fifo" | "key";
  /**
   * With `order: "key"` alone, else `INVALID`: what a failed delivery does to those with its key.
   * `block-key` (the default): they wait until it succeeds or is dead. `skip`: it is dead at once,
   * whatever `maxDeliver` says, and they go on. `reorder`: they may overtake it.
   */
  onFailure?: "block-key" | "skip" | "reorder";
  /**
   * Messages have one of so many priorities, from 1 (the default) to the limit `priorities_max`: a
   * higher one is delivered first, and equals in their order. With `order: "key"` a key has the
   * priority of its first message. When it changes, what waits takes its place anew; a priority
   * that is too high then counts as the highest. `INVALID` if out of bounds.
   */
  priorities?: number;
  /** What happens to consumers that do not keep up. Default: nothing, nobody looks. */
  slow?: SlowOptions;
  /**
   * Structural. One consumer is served at a time. Another takes over when the first closes, dies or
   * goes silent, or when one of a higher priority comes, and nothing of the first is out.
   */
  singleActive?: boolean;
  /** Nobody is served until so many consumers are there; then all are until none is left. */
  waitForConsumers?: number;
  /** They are served after so long all the same. Default: they wait for ever. */
  waitForConsumersMax?: Duration;
  /**
   * Structural. Only the client that declares it first may consume, browse, purge or delete it;
   * anyone may send. It goes, with its messages, when that client has been gone for `autoDelete`
   * (default: the limit `park_ms`, 5 min), so a reload does not end it.
   */
  exclusive?: boolean;
  /** The queue is deleted once it had neither messages nor consumers for so long. */
  autoDelete?: Duration;
  /**
   * A message with an `id` that the queue has stored within so long is not stored again, whoever
   * sends it and whatever became of the first one: the receipt says `duplicate`. By the wall clock
   * of the host, for the last `limits.dedupe_ids_max` ids, each of at most `limits.name_bytes_max`
   * bytes. Default `false`: no id is remembered. What one client sends is stored once without it,
   * also when it is sent again after a lost link.
   */
  dedupe?: Duration | false;
  /** How long it can be asked what became of a message. Default: the limit `result_keep_ms`. */
  keepResults?: Duration;
  /**
   * What is sent to the queue from now on expires after so long, unless its own `ttl` is shorter.
   * At least 1 ms. Default: never.
   */
  ttl?: Duration;
  /**
   * The queue to which messages go that expire, with the reason `expired`; made on first use, and
   * not the queue itself. Default: they are discarded.
   */
  expired?: string;
}

/**
 * How long a failed delivery waits. A duration is always the same wait, a list the waits one by one
 * of which the last repeats; neither has a jitter. `kind` follows from the fields that are given:
 * `step` is linear, `waits` a ladder, and else it is exponential.
 */
export type Backoff =
  | Duration
  | readonly Duration[]
  | {
      kind?: "fixed" | "linear" | "exponential" | "ladder";
      /** Wait after the first failure. Default 1 s. */
      first?: Duration;
      /** Exponential: each wait is the last one times this. Default 2. */
      factor?: number;
      /** Linear: each wait is this much longer than the last one. Default `first`. */
      step?: Duration;
      /** Ladder: the waits, at most `limits.backoff_waits_max`. */
      waits?: readonly Duration[];
      /** No wait is longer. Default 5 min, or the longest of a ladder. */
      max?: Duration;
      /** Part of a wait by which it is changed at random, either way. Default 0.2. */
      jitter?: number;
    };

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
  /** Nothing is delivered; see `queue.pause`. */
  readonly paused: boolean;
  /** Waits for a decision; see `queue.prepare`. */
  readonly prepared: number;
  /** The name of the policy that gives what the queue does not declare; see `admin.policy`. */
  readonly policy: string | undefined;
  /** Where it lives. On a bus with `share` both are possible. */
  readonly home: Home;
}

/** A queue as it is now. */
export interface QueueStats extends Omit<QueueInfo, "policy" | "home"> {
  /** False until the host has told, and while there is no such queue. */
  readonly exists: boolean;
  /** Bodies of its messages, encoded. */
  readonly bytes: number;
  /**
   * When the message that stands first was stored, for how long the queue makes messages wait.
   * `undefined` if none is ready, or if that one is not in the memory of the host.
   */
  readonly oldestAt: Date | undefined;
  /** Over the last two seconds. */
  readonly sentPerSecond: number;
  readonly ackedPerSecond: number;
}
