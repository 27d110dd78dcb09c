import type { Name, QueueBody, QueueResult, Queues, Schema } from "../schema.js";
import type { Wait } from "./common.js";
import type { BatchItem, BatchOptions, Delivery, Receipt, SendOptions } from "./queues.js";

export type StageOptions = Omit<SendOptions, keyof Wait | "durability" | "confirm" | "supersede">;
export type TransactionOptions = BatchOptions;

/** A message that is stored with its transaction. */
export interface Staged<Result = unknown> {
  /** Undefined until it is stored, unless the send gave one. */
  readonly id: string | undefined;
  /** Throws `INVALID` until it is stored. */
  receipt(): Receipt<Result>;
}

/** A queue in a transaction. */
export interface TransactionQueue<Body, Result = unknown> {
  readonly name: string;
  send(body: Body, options?: StageOptions): Staged<Result>;
  sendBatch(items: readonly BatchItem<Body>[]): Staged<Result>[];
}

/**
 * Stages messages and acknowledgements, which are stored as one: all of it or nothing. After its
 * end every verb throws `INVALID`.
 */
export interface Transaction<S extends Schema = Schema> {
  queue<N extends Name<Queues<S>>>(
    name: N,
  ): TransactionQueue<QueueBody<Queues<S>[N]>, QueueResult<Queues<S>[N]>>;
  queue<Body = never, Result = unknown>(
    name: [Body] extends [never] ? never : string,
  ): TransactionQueue<Body, Result>;
  /**
   * The delivery is done. `value` is for its producer, as in `delivery.ack`. What `delivery.tx`
   * staged is stored with it.
   */
  ack(delivery: Delivery<unknown>, value?: unknown): void;
}
