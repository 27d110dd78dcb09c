import {
  type Commit,
  type Key,
  keyOf,
  KIND_CHUNK,
  MANIFEST,
  numberOf,
  type Put,
  type Store,
  StoreFault,
  Unusable,
} from "../../files/store.js";
import type { ObjectStorage } from "./platform.js";

/** A row has at most 2 MB. */
const PART_BYTES = 1 << 20;
/** Parts of one value. */
const PARTS_MAX = 64;
/** What one value may have at most. */
export const VALUE_BYTES_MAX = PART_BYTES * PARTS_MAX;
/** A key that the log has not. */
const FENCE = keyOf(3, 0);
/** As src/web/storage_batch.rs has it. */
const NOTE = keyOf(3, 1);
const FULL = /SQLITE_FULL|database or disk is full/i;

/**
 * The log of one bus in the SQLite database of a Durable Object. A value is one row or several; a
 * commit is one transaction, in which the fence is compared.
 */
export class SqlStore implements Store {
  readonly #storage: ObjectStorage;

  constructor(storage: ObjectStorage) {
    this.#storage = storage;
  }

  async open(): Promise<void> {
    try {
      this.#exec("CREATE TABLE IF NOT EXISTS tabmq (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)");
    } catch (error) {
      throw new Unusable("open", "the storage of the object can't be used", error);
    }
  }

  /** Whether the last to write knew that it may fall asleep: the next goes on in its place. */
  async isNoted(): Promise<boolean> {
    await this.open();
    const query = "SELECT 1 FROM tabmq WHERE id = ?";
    return this.#exec(query, firstOf(NOTE)).toArray().length > 0;
  }

  async look(): Promise<{ fence: string | undefined; manifest: Uint8Array | undefined }> {
    return attempt(() => ({ fence: this.#fence(), manifest: this.#value(MANIFEST) }));
  }

  async commit({ expect, claim, puts, deletes }: Commit): Promise<void> {
    attempt(() =>
      this.#storage.transactionSync(() => {
        if (this.#fence() !== expect) throw new StoreFault("fenced");
        if (claim !== undefined) this.#put({ key: FENCE, bytes: new TextEncoder().encode(claim) });
        for (const put of puts) this.#put(put);
        for (const key of deletes) this.#delete(key);
      }),
    );
  }

  async tidy(): Promise<void> {}

  async read(keys: readonly Key[]): Promise<(Uint8Array | undefined)[]> {
    return attempt(() => keys.map((key) => this.#value(key)));
  }

  list(): number[] {
    return attempt(() => {
      // The first part of each chunk.
      const chunks = "SELECT id FROM tabmq WHERE id % ? = 0 AND (id / ?) % 4 = ? ORDER BY id";
      const rows = [...this.#exec(chunks, PARTS_MAX, PARTS_MAX, KIND_CHUNK)];
      return rows.map(({ id }) => numberOf(Math.floor((id as number) / PARTS_MAX)));
    });
  }

  async fence(): Promise<string | undefined> {
    return attempt(() => this.#fence());
  }

  async close(): Promise<void> {}

  #exec(query: string, ...bindings: (number | Uint8Array)[]) {
    return this.#storage.sql.exec(query, ...bindings);
  }

  #fence(): string | undefined {
    const bytes = this.#value(FENCE);
    return bytes && new TextDecoder().decode(bytes);
  }

  #value(key: Key): Uint8Array | undefined {
    const query = "SELECT bytes FROM tabmq WHERE id >= ? AND id < ? ORDER BY id";
    const rows = [...this.#exec(query, firstOf(key), firstOf(key) + PARTS_MAX)];
    const parts = rows.map(({ bytes }) => new Uint8Array(bytes as ArrayBuffer));
    if (parts.length < 2) return parts[0];
    const value = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      value.set(part, at);
      at += part.length;
    }
    return value;
  }

  #put({ key, bytes }: Put): void {
    if (bytes.length > VALUE_BYTES_MAX) throw new StoreFault("quota");
    this.#delete(key);
    const insert = "INSERT INTO tabmq (id, bytes) VALUES (?, ?)";
    for (let part = 0; part * PART_BYTES < Math.max(1, bytes.length); part += 1) {
      const from = part * PART_BYTES;
      // A copy, for a part of a buffer would be stored with all of it.
      this.#exec(insert, firstOf(key) + part, bytes.slice(from, from + PART_BYTES));
    }
  }

  #delete(key: Key): void {
    const query = "DELETE FROM tabmq WHERE id >= ? AND id < ?";
    this.#exec(query, firstOf(key), firstOf(key) + PARTS_MAX);
  }
}

const firstOf = (key: Key) => key * PARTS_MAX;

/** A transaction that failed has changed nothing. */
function attempt<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof StoreFault) throw error;
    throw new StoreFault(FULL.test(String(error)) ? "quota" : "aborted", error);
  }
}
