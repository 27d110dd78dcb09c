import { milliseconds } from "../duration.js";
import { invalid, TabmqError, unsupported } from "../errors.js";
import type { Failure, Kept } from "../outbox/entry.js";
import type { Courier } from "../outbox/hook.js";
import { COURIER } from "../outbox/symbol.js";
import type { Bus, OutboxEntry, StageOptions, Wait } from "../types.js";
import { runTransaction } from "./transaction.js";

/** The object store of the messages, unless another is named. */
const STORE = "tabmq-outbox";
/** Another page goes on with what is left, or a host is missing: the next try comes after this. */
const AGAIN_MS = 1000;
/**
 * Another page was about to store something. If it dies, this one looks so much later: soon, and
 * once more when its transaction must be over.
 */
const LOOKS_MS = [1000, 35_000];
/** Messages that one client sends before it says farewell. */
const ROUND_MAX = 1000;
/** Numbers, which keys of messages are; the identity of the sender has a text. */
const MESSAGES = () => IDBKeyRange.bound(-Infinity, Infinity);

export interface DatabaseOutboxOptions {
  /** The object store of its messages. Default `tabmq-outbox`. */
  store?: string;
}

/** Puts a message into the outbox, within the transaction of `write`. */
export type SendWithin = (queue: string, body: unknown, options?: StageOptions) => void;

/**
 * Messages in a database of the application. They are stored together with what else its
 * transaction writes, and sent from then on: once, in their order, by this page or by any later one
 * that opens the outbox.
 */
export interface DatabaseOutbox extends Disposable {
  /** The name of its object store, which a transaction has to cover. */
  readonly store: string;
  /**
   * Puts a message into the outbox: it is sent if `tx` completes. Throws `INVALID` if `tx` does not
   * cover `store`, or for a body that takes time to encode, as blobs do; `UNENCODABLE`,
   * `TOO_LARGE`.
   */
  send(tx: IDBTransaction, queue: string, body: unknown, options?: StageOptions): void;
  /**
   * Runs `effect` in a strict transaction over `stores` and the outbox, and resolves with its
   * result once all is stored. It may be async as long as it waits for requests of its transaction
   * alone. If it throws, or `signal` or `timeout` (default 30 s) end it, nothing is stored. Rejects
   * with what it threw; with `INVALID` if a store does not exist, `STORAGE` if the database
   * refuses, `CLOSED` if it is closed.
   */
  write<T>(
    stores: string | readonly string[],
    effect: (tx: IDBTransaction, send: SendWithin) => T | Promise<T>,
    options?: Wait,
  ): Promise<T>;
  /** Resolves once all that was stored before is confirmed, or failed. */
  flush(options?: Wait): Promise<void>;
  /** What is not confirmed yet, oldest first. */
  entries(): Promise<OutboxEntry[]>;
  /** As `bus.outbox.retry`: sends an entry anew that was refused or is in doubt. */
  retry(id: string): Promise<void>;
  /** As `bus.outbox.discard`: gives up an entry that is not on its way. */
  discard(id: string): Promise<void>;
  /** Sends nothing more. What is left is sent by whoever opens the outbox next. */
  close(): void;
}

/** Makes the object store of an outbox. For `onupgradeneeded`; one that is there stays. */
export function createOutbox(db: IDBDatabase, options: DatabaseOutboxOptions = {}): void {
  const name = options.store ?? STORE;
  if (!db.objectStoreNames.contains(name)) db.createObjectStore(name, { autoIncrement: true });
}

/**
 * The outbox of a database in which `createOutbox` made the object store. What pages before left
 * there for this bus and user is sent from now on; what is there for others stays.
 */
export function outbox(
  db: IDBDatabase,
  bus: Pick<Bus, "name">,
  options: DatabaseOutboxOptions = {},
): DatabaseOutbox {
  const { store = STORE } = options;
  if (typeof store !== "string" || !store) throw invalid("outbox: store must be a name", "store");
  const courier = (bus as { [COURIER]?: Courier })[COURIER];
  if (!courier) throw invalid("outbox: this is no bus of the same version", "bus");
  if (!navigator.locks || typeof BroadcastChannel !== "function") throw unsupported("idb.outbox");
  return new MessageOutbox(db, courier, store);
}

type Step = (store: IDBObjectStore) => void;

/** A message as it lies in the store. */
interface Stored extends Kept {
  readonly scope: string;
}

class MessageOutbox implements DatabaseOutbox {
  readonly store: string;
  readonly #db: IDBDatabase;
  readonly #courier: Courier;
  readonly #closed = new AbortController();
  #page = new AbortController();
  readonly #channel: string;
  /** Where pages tell each other that they store something. */
  #others: BroadcastChannel | undefined;
  /** Looks that are to come, by their wait. */
  readonly #looks = new Map<number, ReturnType<typeof setTimeout>>();
  /** It waits for its turn to send, or sends. */
  #pumping = false;
  /** Something was stored since the store was read last. */
  #again = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #waiting = new Set<() => Promise<void>>();
  /** What is written within one task is one transaction. */
  #batch: { readonly steps: Step[]; readonly stored: Promise<void> } | undefined;

  constructor(db: IDBDatabase, courier: Courier, store: string) {
    this.#db = db;
    this.#courier = courier;
    this.store = store;
    this.#channel = `tabmq-idb:${db.name}:${store}:${courier.bus}`;
    // A page whose locks are held does not go into the cache.
    const { signal } = this.#closed;
    globalThis.addEventListener?.("pagehide", () => this.#rest(), { signal });
    globalThis.addEventListener?.("pageshow", () => this.#begin(), { signal });
    this.#begin();
  }

  send(tx: IDBTransaction, queue: string, body: unknown, options?: StageOptions): void {
    if (this.#closed.signal.aborted) throw new TabmqError("CLOSED", "the outbox is closed");
    if (!tx?.objectStoreNames?.contains(this.store))
      throw invalid(`send: the transaction does not cover "${this.store}"`, "tx");
    const { scope } = this.#courier;
    const send = this.#courier.encode(queue, body, options);
    const stored: Stored = { scope, send, at: Date.now() };
    tx.objectStore(this.store).add(stored);
    this.#others?.postMessage(null);
    tx.addEventListener("complete", this.#pump);
  }

  write<T>(
    stores: string | readonly string[],
    effect: (tx: IDBTransaction, send: SendWithin) => T | Promise<T>,
    options: Wait = {},
  ): Promise<T> {
    const begin = (tx: IDBTransaction) => tx.objectStore(this.store).getKey(0);
    return runTransaction(this.#db, [this.store, ...[stores].flat()], options, {
      begin,
      go: (tx) => effect(tx, (...message) => this.send(tx, ...message)),
    });
  }

  async flush({ signal, timeout }: Wait = {}): Promise<void> {
    const wait = timeout === undefined ? this.#courier.verb_timeout_ms : timeout;
    const last = (await this.#list()).at(-1)?.[0];
    if (last === undefined) return;
    await new Promise<void>((resolve, reject) => {
      const ended = new AbortController();
      const over = (error: TabmqError) => () => {
        ended.abort();
        reject(error);
      };
      const look = async () => {
        try {
          const [first] = await this.#list();
          if (first && first[0] <= last) return;
          resolve();
        } catch (error) {
          reject(error);
        }
        ended.abort();
      };
      ended.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      });
      const late = new TabmqError("TIMEOUT", "flush: not all is confirmed");
      const ms = milliseconds(wait, "timeout");
      const timer = ms > 2 ** 31 - 1 ? undefined : setTimeout(over(late), ms);
      const abort = over(new TabmqError("CANCELLED", "flush: the signal aborted"));
      signal?.addEventListener("abort", abort, { signal: ended.signal });
      if (signal?.aborted) abort();
      this.#waiting.add(look);
      // It may be another page's turn.
      this.#pump();
      void look();
    });
  }

  async entries(): Promise<OutboxEntry[]> {
    const all = await this.#list(true);
    return all.map(([key, kept]) => this.#courier.entry(String(key), kept));
  }

  async retry(id: string): Promise<void> {
    await this.#change("retry", id, (store, key, kept) => {
      if (!kept.failure) throw invalid(`outbox.retry: entry ${id} is on its way`, "id");
      const { scope } = kept;
      store.delete(key);
      const anew: Stored = { scope, send: this.#courier.unnumbered(kept.send), at: Date.now() };
      store.add(anew);
    });
    this.#pump();
  }

  async discard(id: string): Promise<void> {
    await this.#change("discard", id, (store, key, kept) => {
      if (!kept.failure) throw invalid(`outbox.discard: entry ${id} is on its way`, "id");
      store.delete(key);
    });
  }

  close(): void {
    this.#closed.abort();
    this.#rest();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #begin(): void {
    if (this.#others) return;
    this.#page = new AbortController();
    this.#others = new BroadcastChannel(this.#channel);
    this.#others.onmessage = () => {
      for (const wait_ms of LOOKS_MS) {
        if (this.#looks.has(wait_ms)) continue;
        const look = () => {
          this.#looks.delete(wait_ms);
          this.#pump();
        };
        this.#looks.set(wait_ms, setTimeout(look, wait_ms));
      }
    };
    this.#pump();
  }

  #rest(): void {
    this.#page.abort();
    this.#others?.close();
    this.#others = undefined;
    clearTimeout(this.#timer);
    for (const look of this.#looks.values()) clearTimeout(look);
    this.#looks.clear();
  }

  /** One page after the other sends; each until nothing is left. */
  readonly #pump = (): void => {
    if (this.#closed.signal.aborted || this.#page.signal.aborted) return;
    this.#again = true;
    if (this.#pumping) return;
    this.#pumping = true;
    const { signal } = this.#page;
    const turn = () => this.#sendAll(signal);
    void this.#after(navigator.locks.request(this.#channel, { signal }, turn));
  };

  async #after(turn: Promise<boolean>): Promise<void> {
    const done = await turn.catch(() => false);
    this.#pumping = false;
    for (const look of this.#waiting) void look();
    if (done && !this.#again) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#pump, done ? 0 : AGAIN_MS);
  }

  /** False if something is left. */
  async #sendAll(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      this.#again = false;
      const left = await this.#list();
      if (!left.length) return true;
      const client = await this.#identity();
      const sent = new Map<number, Stored>();
      const legacy = {
        take: async () => {
          for (const [key, kept] of (await this.#list()).slice(0, ROUND_MAX)) sent.set(key, kept);
          return [...sent].map(([key, { send }]) => [key, send] as const);
        },
        keep: (key: number, send: Uint8Array) => {
          const kept = { ...(sent.get(key) as Stored), send };
          sent.set(key, kept);
          return this.#batched((store) => void store.put(kept, key));
        },
        letGo: async (key: number, failure: Failure | undefined) => {
          const kept = { ...(sent.get(key) as Stored), failure };
          const end = (store: IDBObjectStore) =>
            void (failure ? store.put(kept, key) : store.delete(key));
          await this.#batched(end);
          for (const look of this.#waiting) void look();
          if (failure) this.#courier.returned(this.#courier.entry(String(key), kept as Stored));
        },
      };
      if (!(await this.#courier.deliver(client, legacy, signal))) return false;
    }
    return false;
  }

  /** Messages of this bus and user; without `all` those that have not failed. */
  async #list(all = false): Promise<[number, Stored][]> {
    let keys: IDBRequest<IDBValidKey[]> | undefined;
    let values: IDBRequest<Stored[]> | undefined;
    await this.#transact("list", (store) => {
      keys = store.getAllKeys(MESSAGES());
      values = store.getAll(MESSAGES());
    });
    const found = (values?.result ?? []).map((kept, index): [number, Stored] => [
      keys?.result[index] as number,
      kept,
    ]);
    return found.filter(
      ([, { scope, failure }]) => this.#sends(scope) && (all || !failure),
    );
  }

  /** What was written before the hub told its user is that of whoever comes first. */
  #sends(scope: string): boolean {
    return scope === this.#courier.scope || scope === this.#courier.bus;
  }

  /** The client that all pages send as, one after the other. */
  async #identity(): Promise<Uint8Array> {
    const { bus, scope } = this.#courier;
    let client = crypto.getRandomValues(new Uint8Array(16));
    await this.#transact("identity", (store) => {
      const ask = (of: string, none: () => void) => {
        const key = `client:${of}`;
        const asked = store.get(key) as IDBRequest<Uint8Array<ArrayBuffer> | undefined>;
        asked.onsuccess = () => {
          if (!asked.result) return none();
          client = asked.result;
          // The hub knows it as this user's from then on.
          if (of !== scope) store.delete(key);
          store.put(client, `client:${scope}`);
        };
      };
      ask(scope, () => ask(bus, () => void store.put(client, `client:${scope}`)));
    });
    return client;
  }

  async #change(
    verb: string,
    id: string,
    change: (store: IDBObjectStore, key: number, kept: Stored) => void,
  ): Promise<void> {
    const key = Number(id);
    if (typeof id !== "string" || !Number.isSafeInteger(key))
      throw invalid(`outbox.${verb}: this is no id of an entry`, "id");
    let failure: unknown;
    await this.#transact(verb, (store) => {
      const asked = store.get(key) as IDBRequest<Stored | undefined>;
      asked.onsuccess = () => {
        try {
          const kept = asked.result;
          if (!kept || !this.#sends(kept.scope))
            throw new TabmqError("NOT_FOUND", `outbox.${verb}: there is no entry ${id}`);
          change(store, key, kept);
        } catch (error) {
          failure = error;
        }
      };
    });
    if (failure) throw failure;
  }

  #batched(step: Step): Promise<void> {
    if (!this.#batch) {
      const steps: Step[] = [];
      const write = () => {
        this.#batch = undefined;
        return this.#transact("write", (store) => steps.forEach((one) => one(store)));
      };
      this.#batch = { steps, stored: Promise.resolve().then(write) };
    }
    this.#batch.steps.push(step);
    return this.#batch.stored;
  }

  /** What a page that dies must not lose is flushed: a message is sent under the number it has. */
  #transact(verb: string, step: Step): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown) =>
        reject(new TabmqError("STORAGE", `outbox: ${verb} failed`, { cause }));
      try {
        const mode = verb === "list" ? "readonly" : "readwrite";
        const tx = this.#db.transaction(this.store, mode, { durability: "strict" });
        tx.oncomplete = () => resolve();
        tx.onabort = () => fail(tx.error);
        step(tx.objectStore(this.store));
      } catch (cause) {
        fail(cause);
      }
    });
  }
}
