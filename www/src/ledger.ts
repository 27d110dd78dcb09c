// The playground's own account of the jobs, beside the broker's: which ids were confirmed, and
// which have had their effect. It is what "lost" and "repeated" are judged by.
import { type DBSchema, type IDBPDatabase, openDB } from "idb";

interface Tables extends DBSchema {
  /** Sends that the broker confirmed. */
  sent: { key: string; value: number };
  /** Effects of jobs. A second one of the same id is refused. */
  done: { key: string; value: { tab: string; at: number }; indexes: { tab: string } };
  /** Jobs that somebody threw away. */
  discarded: { key: string; value: number };
}

export interface LedgerCounts {
  readonly sent: number;
  readonly done: number;
  readonly discarded: number;
}

export class Ledger {
  readonly #database: IDBPDatabase<Tables>;

  private constructor(database: IDBPDatabase<Tables>) {
    this.#database = database;
  }

  static async open(bus: string): Promise<Ledger> {
    const database = await openDB<Tables>(`playground-record ${bus}`, 1, {
      upgrade(fresh) {
        fresh.createObjectStore("sent");
        fresh.createObjectStore("discarded");
        fresh.createObjectStore("done").createIndex("tab", "tab");
      },
    });
    return new Ledger(database);
  }

  async addSent(ids: readonly string[]): Promise<void> {
    const { store, done } = this.#database.transaction("sent", "readwrite");
    const now = Date.now();
    await Promise.all([...ids.map((id) => store.put(now, id)), done]);
  }

  /** Records the effect of a job. False if it was recorded before. */
  async addDone(id: string, tab: string): Promise<boolean> {
    try {
      await this.#database.add("done", { tab, at: Date.now() }, id);
      return true;
    } catch (error) {
      if (error instanceof DOMException && error.name === "ConstraintError") return false;
      throw error;
    }
  }

  async addDiscarded(ids: readonly string[]): Promise<void> {
    const { store, done } = this.#database.transaction("discarded", "readwrite");
    const now = Date.now();
    await Promise.all([...ids.map((id) => store.put(now, id)), done]);
  }

  async counts(): Promise<LedgerCounts> {
    const transaction = this.#database.transaction(["sent", "done", "discarded"]);
    const [sent, done, discarded] = await Promise.all([
      transaction.objectStore("sent").count(),
      transaction.objectStore("done").count(),
      transaction.objectStore("discarded").count(),
    ]);
    return { sent, done, discarded };
  }

  async doneByTab(): Promise<Map<string, number>> {
    const { store } = this.#database.transaction("done");
    const index = store.index("tab");
    const counts = new Map<string, number>();
    let cursor = await index.openKeyCursor(null, "nextunique");
    while (cursor) {
      counts.set(cursor.key, await index.count(cursor.key));
      cursor = await cursor.continue();
    }
    return counts;
  }

  async clear(): Promise<void> {
    const transaction = this.#database.transaction(["sent", "done", "discarded"], "readwrite");
    await Promise.all([
      transaction.objectStore("sent").clear(),
      transaction.objectStore("done").clear(),
      transaction.objectStore("discarded").clear(),
      transaction.done,
    ]);
  }
}
