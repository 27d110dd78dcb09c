import type { DeathReason } from "./queues.js";

/** What every advisory of a queue tells. */
interface About {
  readonly queue: string;
  /** By the wall clock of the host. */
  readonly at: Date;
  /** So many advisories before this one were left out: there were too many in a second. */
  readonly missed?: number;
}

interface Counted extends About {
  /** How many the queue has now, and had when that was told last. */
  readonly consumers: number;
  readonly before: number;
}

/**
 * What happened to a queue, by the word that its topic has behind `$tabmq.queue.`; the name of the
 * queue follows. They are hints: one may be missed when a link or a host ends.
 */
export interface QueueAdvisories {
  /** A message became a dead letter, in the queue `into`. */
  "dead-lettered": About & {
    readonly number: number;
    readonly into: string;
    readonly reason: DeathReason;
    readonly note?: string;
  };
  /** A message is gone: a full queue let it go, or one without dead letters. */
  discarded: About & { readonly number: number; readonly reason: string };
  /**
   * A message outlived its time. It went to the queue `into`, or is gone. `id`, if it is tracked.
   */
  expired: About & { readonly number: number; readonly id?: string; readonly into?: string };
  /** A send was refused, the first since one was taken. */
  full: About & { readonly limit: "messages_max" | "bytes_max" };
  /** A redrive of this dead-letter queue is over. */
  redriven: About & { readonly moved: number; readonly into?: string };
  /** Messages were moved out of this queue by hand, to the queue `into`. */
  moved: About & { readonly moved: number; readonly into: string };
  /** The host dropped a prepared message for which nobody decided. */
  "rolled-back": About & {
    readonly number: number;
    readonly id: string;
    readonly reason: "unanswered" | "age";
  };
  purged: About & { readonly messages: number };
  deleted: About;
  /** A consumer let a lease run out. */
  "lease-expired": About & {
    readonly number: number;
    readonly attempt: number;
    readonly client: string;
  };
  /**
   * A consumer has held this delivery for too long while messages wait (`slow` of the queue). Told
   * once until it settles one, and when it is detached.
   */
  "slow-consumer": About & {
    readonly number: number;
    readonly attempt: number;
    readonly client: string;
    readonly detached: boolean;
  };
  /** Told at most once a second, with what came of it. */
  "consumer-started": Counted;
  "consumer-stopped": Counted;
  "no-consumers": Counted;
}
