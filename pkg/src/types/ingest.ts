import type { Duration } from "../duration.js";
import type { Watch } from "../watch.js";
import type { Durability, Wait } from "./common.js";
import type { BatchItem } from "./queues.js";

/** `timeout` is that of each batch. */
export interface IngestOptions extends Wait {
  /** Items of one batch, which is stored as a whole. Default 100. */
  batch?: number;
  /** A batch that is not full is sent after so long. Default 5 ms. */
  linger?: Duration;
  durability?: Durability;
}

/** How far it is. */
export interface Ingested {
  /** Items that are stored; these two count up to the first batch that failed. */
  readonly stored: number;
  /** Items that were not, because the queue remembers their ids. */
  readonly duplicates: number;
  readonly batches: number;
  /** Items that were sent and have no answer. */
  readonly underWay: number;
  /** How many of them the host would like at most. It follows how fast it can store. */
  readonly window: number;
}

/** Takes as much as the host keeps up with; `close` waits until all is stored. */
export interface IngestStream<Body> extends WritableStream<BatchItem<Body>> {
  readonly progress: Watch<Ingested>;
}
