import type { Kept } from "./entry.js";
import type { Belonging } from "./home.js";

/** The numbers of one client count up. */
export type Place = [scope: string, client: string, number: number];

/** Where sends are written down. One database per bus, for all users and tabs. */
export interface Shelf {
  put(place: Place, kept: Kept): Promise<void>;
  remove(places: readonly Place[]): Promise<void>;
  /** In the order of the places. */
  list(): Promise<[Place, Kept][]>;
  /** Puts `kept` in another place, if it is still at the first one. */
  move(from: Place, to: Place, kept: Kept): Promise<boolean>;
  /** Where what is here in this scope belongs. */
  home(scope: string): Promise<Belonging | undefined>;
  setHome(scope: string, home: Belonging): Promise<void>;
  close(): void;
}

/** Nothing outlives the realm. */
export class MemoryShelf implements Shelf {
  readonly #entries = new Map<string, [Place, Kept]>();
  readonly #homes = new Map<string, Belonging>();

  async put(place: Place, kept: Kept): Promise<void> {
    this.#entries.set(String(place), [place, kept]);
  }

  async remove(places: readonly Place[]): Promise<void> {
    for (const place of places) this.#entries.delete(String(place));
  }

  async list(): Promise<[Place, Kept][]> {
    return [...this.#entries.values()];
  }

  async move(from: Place, to: Place, kept: Kept): Promise<boolean> {
    const found = this.#entries.delete(String(from));
    if (found) await this.put(to, kept);
    return found;
  }

  async home(scope: string): Promise<Belonging | undefined> {
    return this.#homes.get(scope);
  }

  async setHome(scope: string, home: Belonging): Promise<void> {
    this.#homes.set(scope, home);
  }

  close(): void {
    this.#entries.clear();
  }
}

const STORE = "sends";
/** Keys of sends are arrays, those of homes are texts. */
const PLACES = () => IDBKeyRange.lowerBound([]);
const homeKey = (scope: string) => `home:${scope}`;

export class DatabaseShelf implements Shelf {
  readonly #name: string;
  #opening: Promise<IDBDatabase> | undefined;
  #closed = false;
  /** What is put within one task is one transaction. */
  #batch: { readonly puts: [Place, Kept][]; readonly stored: Promise<void> } | undefined;

  constructor(bus: string, at_hub: boolean) {
    this.#name = `tabmq-outbox${at_hub ? "-hub" : ""}:${bus}`;
  }

  put(place: Place, kept: Kept): Promise<void> {
    if (!this.#batch) {
      const puts: [Place, Kept][] = [];
      const write = async () => {
        this.#batch = undefined;
        await this.#run("readwrite", (store) => {
          for (const [at, one] of puts) store.put(one, at);
        });
      };
      this.#batch = { puts, stored: Promise.resolve().then(write) };
    }
    this.#batch.puts.push([place, kept]);
    return this.#batch.stored;
  }

  async remove(places: readonly Place[]): Promise<void> {
    if (!places.length) return;
    await this.#run("readwrite", (store) => {
      for (const place of places) store.delete(place);
    });
  }

  async list(): Promise<[Place, Kept][]> {
    let keys: IDBRequest<IDBValidKey[]> | undefined;
    const values = await this.#run("readonly", (store) => {
      keys = store.getAllKeys(PLACES());
      return store.getAll(PLACES());
    });
    const found = values as Kept[];
    return found.map((kept, index) => [(keys as IDBRequest).result[index] as Place, kept]);
  }

  async move(from: Place, to: Place, kept: Kept): Promise<boolean> {
    let found = false;
    await this.#run("readwrite", (store) => {
      const asked = store.getKey(from);
      asked.onsuccess = () => {
        found = asked.result !== undefined;
        if (!found) return;
        store.delete(from);
        store.put(kept, to);
      };
    }, false);
    return found;
  }

  async home(scope: string): Promise<Belonging | undefined> {
    const found = await this.#run("readonly", (store) => store.get(homeKey(scope)));
    return found as Belonging | undefined;
  }

  async setHome(scope: string, home: Belonging): Promise<void> {
    await this.#run("readwrite", (store) => void store.put(home, homeKey(scope)));
  }

  close(): void {
    this.#closed = true;
    this.#opening?.then((database) => database.close(), () => {});
  }

  /**
   * One transaction; resolves with the result of its request once it is stored. A connection may
   * break at any time: then it is tried once more on another one. With `commits` nothing has to
   * come back to the page before it is stored, for the page may be about to die.
   */
  async #run(
    mode: IDBTransactionMode,
    step: (store: IDBObjectStore) => IDBRequest | void,
    commits = true,
  ): Promise<unknown> {
    for (let again = false; ; again = true) {
      try {
        this.#opening ??= this.#open();
        return await transact(await this.#opening, mode, step, commits);
      } catch (error) {
        this.#opening = undefined;
        if (again || this.#closed) throw error;
      }
    }
  }

  #open(): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      const request = indexedDB.open(this.#name, 1);
      request.onupgradeneeded = () => void request.result.createObjectStore(STORE);
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const database = request.result;
        const forget = () => {
          database.close();
          this.#opening = undefined;
        };
        database.onversionchange = forget;
        database.onclose = forget;
        if (this.#closed) database.close();
        resolve(database);
      };
    });
  }
}

function transact(
  database: IDBDatabase,
  mode: IDBTransactionMode,
  step: (store: IDBObjectStore) => IDBRequest | void,
  commits: boolean,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const request = step(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onabort = () => reject(transaction.error);
    // Chromium ends a transaction that is committed so before a long value of it has been read.
    if (commits && mode === "readwrite") transaction.commit?.();
  });
}
