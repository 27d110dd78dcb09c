import type { Code } from "../codes.generated.js";
import type { Watch } from "../watch.js";

/**
 * `accepted`: written down, and no host has it. `sent`: a host may have it and has not confirmed
 * it. `refused`: a host would not have it. `in-doubt`: the log that could tell whether it is stored
 * is gone, or no longer knows its sender.
 */
export type OutboxState = "accepted" | "sent" | "refused" | "in-doubt";

/** A send, a batch, a transaction or a schedule without a confirmation. */
export interface OutboxEntry {
  readonly id: string;
  /** Undefined for a transaction. */
  readonly queue: string | undefined;
  readonly state: OutboxState;
  /** When it was written down. */
  readonly at: Date;
  readonly bytes: number;
  /** This tab asked for it, and its promise still waits. */
  readonly own: boolean;
  /** Why it was refused. */
  readonly code: Code | undefined;
  readonly reason: string | undefined;
}

/** How many entries there are, of all tabs of this user. */
export interface OutboxCounts {
  readonly accepted: number;
  readonly sent: number;
  readonly refused: number;
  readonly inDoubt: number;
  /**
   * Those of other users of this device, by the option `user` or by the grant of the hub. They are
   * never sent as this one's.
   */
  readonly quarantined: number;
}

/**
 * What was asked to be sent and has no confirmation for longer than `limits.outbox_after_ms`. It
 * outlives its tab: when that died, another one sends it, once and in its order. Where there is no
 * IndexedDB that tabs share it is in memory, and ends with the realm.
 */
export interface Outbox extends Watch<OutboxCounts> {
  /** The oldest of each tab first. */
  entries(): Promise<OutboxEntry[]>;
  /**
   * Sends an entry anew that was refused or is in doubt; one in doubt may be stored already.
   * Rejects with `NOT_FOUND` if it is gone and with `INVALID` if it is on its way.
   */
  retry(id: string): Promise<void>;
  /**
   * Gives an entry up. A send of this tab that waits for it rejects with `DISCARDED`. Rejects with
   * `NOT_FOUND` if it is gone, and with `INVALID` if it is on its way: a host may have it, or
   * another tab is about to send it.
   */
  discard(id: string): Promise<void>;
  /**
   * At a hub: sends what waits to the log of the hub that answers now, in place of the one that it
   * was meant for, and resolves with how many entries there are. Those that the other log may have
   * (`sent`) are `in-doubt` then, unless their promise still waits, which rejects. Rejects with
   * `NOT_FOUND` if no hub with another log has answered.
   */
  redirect(): Promise<number>;
  /** Gives up what other users of this device left; resolves with how many entries. */
  discardOthers(): Promise<number>;
}
