import { loadEngine } from "virtual:indexeddb";

import type { Realm } from "./realm.js";
import type { World } from "./world.js";

/** What the engine itself listens with, to begin the next transaction. */
const ENGINE_LISTENER = "bound processTransactions";

type Listening = [type: string, listener: EventListenerOrEventListenerObject];

/** What a page has open. */
interface Opened {
  readonly connections: Set<IDBDatabase>;
  /** Transactions that are not over, and how the page listens to them. */
  readonly running: Map<IDBTransaction, Listening[]>;
  /** Tells the page of a commit. A page may be gone between the two. */
  readonly tellLater: (run: () => void) => void;
}

/** The IndexedDB that all pages share. */
export class Databases {
  readonly keyRange: typeof IDBKeyRange;
  readonly #world: World;
  readonly #factory: IDBFactory;
  readonly #opened = new Map<Realm, Opened>();
  readonly #owners = new WeakMap<object, Realm>();

  constructor(world: World) {
    this.#world = world;
    const setImmediate = (run: () => void) => {
      let wait = world.chance.between(20, 200);
      if (world.occurs("write-slow")) wait += world.chance.between(100_000, 2_000_000);
      world.schedule.after(wait, undefined, "storage", run);
    };
    // A copy of its own, so that what is changed of it is changed for this world alone.
    const engine = loadEngine({ globalThis: { setImmediate } });
    this.keyRange = engine.IDBKeyRange;
    this.#factory = new engine.IDBFactory();
    this.#silenceTheDead(engine.IDBRequest.prototype);
  }

  /** The `indexedDB` of a page. */
  factoryFor(realm: Realm): IDBFactory {
    const factory = this.#factory;
    const tellLater = (run: () => void) =>
      void this.#world.schedule.after(this.#world.latency(), realm, "committed", run);
    this.#opened.set(realm, { connections: new Set(), running: new Map(), tellLater });
    return {
      cmp: (a, b) => factory.cmp(a, b),
      databases: () => factory.databases(),
      deleteDatabase: (name) => factory.deleteDatabase(name),
      open: (name, version) => {
        const request = factory.open(name, version);
        this.#owners.set(request, realm);
        const opened = () => this.#follow(realm, request);
        request.addEventListener("upgradeneeded", opened);
        request.addEventListener("success", opened);
        return request;
      },
    };
  }

  isRunning(realm: Realm): boolean {
    return (this.#opened.get(realm)?.running.size ?? 0) > 0;
  }

  /** The page is gone: what it has not committed is undone, and it hears of nothing. */
  drop(realm: Realm): void {
    const opened = this.#opened.get(realm);
    this.#opened.delete(realm);
    for (const [transaction, listening] of opened?.running ?? []) {
      for (const listener of listening) transaction.removeEventListener(...listener);
      transaction.onabort = transaction.onerror = null;
      abort(transaction);
    }
    for (const connection of opened?.connections ?? []) connection.close();
  }

  /** No request tells a page that is gone. */
  #silenceTheDead(prototype: IDBRequest): void {
    const dispatch = prototype.dispatchEvent;
    const ownerOf = (request: IDBRequest) =>
      this.#owners.get(request.transaction?.db ?? request) ?? this.#owners.get(request);
    const letGo = (request: IDBRequest) => {
      if (this.#owners.has(request)) letGoOf(request as IDBOpenDBRequest);
    };
    prototype.dispatchEvent = function (this: IDBRequest, event) {
      if (!ownerOf(this)?.dead) return dispatch.call(this, event);
      letGo(this);
      return true;
    };
  }

  #follow(realm: Realm, request: IDBOpenDBRequest): void {
    const connection = request.result;
    const opened = this.#opened.get(realm);
    if (!opened || opened.connections.has(connection)) return;
    opened.connections.add(connection);
    this.#owners.set(connection, realm);
    if (request.transaction) follow(opened, request.transaction);
    const begin = connection.transaction.bind(connection);
    connection.transaction = (...parameters) => {
      const transaction = begin(...parameters);
      follow(opened, transaction);
      return transaction;
    };
  }
}

/** Keeps what the page listens with until the transaction is over. */
function follow({ running, tellLater }: Opened, transaction: IDBTransaction): void {
  const listening: Listening[] = [];
  const over = () => running.delete(transaction);
  transaction.addEventListener("complete", over);
  transaction.addEventListener("abort", over);
  running.set(transaction, listening);
  const listen = transaction.addEventListener.bind(transaction);
  transaction.addEventListener = (type: string, listener: EventListener) => {
    if (listener.name === ENGINE_LISTENER) return listen(type, listener);
    const heard: EventListener =
      type === "complete"
        ? (event) => tellLater(() => listener.call(transaction, event))
        : listener;
    listening.push([type, heard]);
    listen(type, heard);
  };
  Object.defineProperty(transaction, "oncomplete", {
    set: (listener: EventListener | null) => {
      if (listener) transaction.addEventListener("complete", listener);
    },
    get: () => null,
  });
}

/** The page is gone before its database was open. */
function letGoOf(request: IDBOpenDBRequest): void {
  if (request.transaction) abort(request.transaction);
  if (request.readyState === "done" && request.error === null) request.result?.close();
}

/** One that was told to commit can't be aborted any more. */
function abort(transaction: IDBTransaction): void {
  try {
    transaction.abort();
  } catch (error) {
    if ((error as Error).name !== "InvalidStateError") throw error;
  }
}
