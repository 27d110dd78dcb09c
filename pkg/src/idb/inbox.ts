import { milliseconds } from "../duration.js";
import { invalid, TabmqError } from "../errors.js";
import type { Duration } from "../duration.js";
import type { Delivery, Wait } from "../types.js";
import { runTransaction } from "./transaction.js";

/** The object store of the marks, unless another is named. */
const STORE = "tabmq-inbox";
const MARKED_AT = "at";
/** A mark that does not go with its acknowledgement goes after so long. */
const KEEP_MS = 90 * 24 * 3600 * 1000;
/** Old marks are looked for this often, and so many are taken at a time. */
const CLEAN_EVERY_MS = 3_600_000;
const CLEAN_MAX = 200;
/** Deliveries whose end this page waits for. */
const HELD_MAX = 10_000;

export interface InboxOptions {
  /** The object store of its marks. Default `tabmq-inbox`. */
  store?: string;
  /** Tells handlers apart that get the same messages, such as those of two buses. Default "". */
  scope?: string;
  /**
   * How long a mark lasts of a message that came more than once, or whose acknowledgement was never
   * confirmed. Default 90 days.
   */
  keep?: Duration;
}

/** Lets the effects of deliveries on one database happen once, however often they come. */
export interface Inbox {
  /**
   * Runs `effect` in a transaction over `stores` and marks the delivery in the same one: both are
   * stored, or none. Resolves with true once they are, with false if an earlier delivery of the
   * message has done it; then nothing runs. Acknowledge the delivery in both cases. `effect` may be
   * async as long as it waits for requests of its transaction alone. If it throws, or `signal` or
   * `timeout` (default 30 s) end it, nothing is stored. Rejects with what it threw; with
   * `STALE_LEASE` if the lease is lost, `INVALID` if a store does not exist, `STORAGE` if the
   * database refuses (`data.reason` is `quota` if it is full), `CLOSED` if it is closed.
   */
  once(
    delivery: Delivery<unknown>,
    stores: string | readonly string[],
    effect: (tx: IDBTransaction) => unknown,
    options?: Wait,
  ): Promise<boolean>;
}

type Mark = [scope: string, queue: string, id: string, storedAt: number];

/** Makes the object store of an inbox. For `onupgradeneeded`; one that is there stays. */
export function createInbox(db: IDBDatabase, options: Pick<InboxOptions, "store"> = {}): void {
  const name = options.store ?? STORE;
  if (!db.objectStoreNames.contains(name))
    db.createObjectStore(name).createIndex(MARKED_AT, MARKED_AT);
}

/** The inbox of a database in which `createInbox` made the object store. */
export function inbox(db: IDBDatabase, options: InboxOptions = {}): Inbox {
  const { store = STORE, scope = "", keep } = options;
  if (typeof store !== "string" || !store) throw invalid("inbox: store must be a name", "store");
  if (typeof scope !== "string") throw invalid("inbox: scope must be a string", "scope");
  const keep_ms = keep === undefined ? KEEP_MS : milliseconds(keep, "keep");
  return new MarkedInbox(db, store, scope, keep_ms);
}

class MarkedInbox implements Inbox {
  readonly #db: IDBDatabase;
  readonly #store: string;
  readonly #scope: string;
  readonly #keep_ms: number;
  /** Marked deliveries whose acknowledgement is awaited: then their marks go. */
  readonly #held = new Map<Delivery<unknown>, Mark>();
  #cleaned_at = -Infinity;

  constructor(db: IDBDatabase, store: string, scope: string, keep_ms: number) {
    this.#db = db;
    this.#store = store;
    this.#scope = scope;
    this.#keep_ms = keep_ms;
  }

  async once(
    delivery: Delivery<unknown>,
    stores: string | readonly string[],
    effect: (tx: IDBTransaction) => unknown,
    options: Wait = {},
  ): Promise<boolean> {
    if (typeof effect !== "function") throw invalid("once: there is no effect", "effect");
    if (!(delivery?.storedAt instanceof Date)) throw invalid("once: this is no delivery");
    const { aborted, reason: cause } = delivery.signal;
    if (aborted) throw new TabmqError("STALE_LEASE", "once: the lease is lost", { cause });
    const { topic, id, storedAt } = delivery;
    // Ids are unique in one log, and the log may be lost without the database.
    const mark: Mark = [this.#scope, topic, id, storedAt.getTime()];
    const done = [...this.#held].filter(([{ acked }]) => acked);
    const ran = await runTransaction(this.#db, [this.#store, ...[stores].flat()], options, {
      begin: (tx) => {
        const marks = tx.objectStore(this.#store);
        for (const [, old] of done) marks.delete(old);
        this.#clean(marks);
        return marks.getKey(mark);
      },
      go: (tx, found) => {
        if (found !== undefined) return false;
        tx.objectStore(this.#store).put({ [MARKED_AT]: Date.now() }, mark);
        const result = effect(tx);
        return isPromise(result) ? Promise.resolve(result).then(() => true) : true;
      },
    });
    for (const [of] of done) this.#held.delete(of);
    this.#hold(delivery, mark);
    return ran;
  }

  /** The mark of a message that only this page ever had goes once its acknowledgement is stored. */
  #hold(delivery: Delivery<unknown>, mark: Mark): void {
    // A page that had the message before may stand still, and go on with it at any time.
    if (delivery.attempt > 1 || delivery.deaths.length) return;
    for (const [held] of this.#held) {
      if (this.#held.size < HELD_MAX && !held.signal.aborted) break;
      this.#held.delete(held);
    }
    this.#held.set(delivery, mark);
  }

  /** Takes old marks away whose acknowledgement this page did not see. */
  #clean(marks: IDBObjectStore): void {
    const now_ms = Date.now();
    if (now_ms - this.#cleaned_at < CLEAN_EVERY_MS || this.#keep_ms === Infinity) return;
    this.#cleaned_at = now_ms;
    const old = IDBKeyRange.upperBound(now_ms - this.#keep_ms);
    const request = marks.index(MARKED_AT).getAllKeys(old, CLEAN_MAX);
    request.onsuccess = () => {
      for (const key of request.result) marks.delete(key);
      if (request.result.length === CLEAN_MAX) this.#cleaned_at = -Infinity;
    };
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
}
