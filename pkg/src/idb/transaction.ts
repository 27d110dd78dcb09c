import { TabmqError } from "../errors.js";
import { milliseconds } from "../duration.js";
import type { Wait } from "../types.js";

const TIMEOUT_MS = 30_000;

/** What happens in a transaction: a first request, and what follows from its result. */
interface Steps<Found, Result> {
  begin(tx: IDBTransaction): IDBRequest<Found>;
  /** Called once, within the event of the request. */
  go(tx: IDBTransaction, found: Found): Result | Promise<Result>;
}

/**
 * Runs a transaction and resolves once it is stored. A promise of `go` is waited for: the
 * transaction is kept open meanwhile, and aborted if it rejects or takes too long.
 */
export async function runTransaction<Found, Result>(
  db: IDBDatabase,
  stores: readonly string[],
  { signal, timeout = TIMEOUT_MS }: Wait,
  steps: Steps<Found, Result>,
): Promise<Result> {
  const timeout_ms = milliseconds(timeout, "timeout");
  const cancelled = () =>
    new TabmqError("CANCELLED", "the signal aborted", { cause: signal?.reason });
  if (signal?.aborted) throw cancelled();
  const tx = open(db, stores);
  let result: Result | undefined;
  let failure: { error: unknown } | undefined;
  const fail = (error: unknown) => {
    if (failure) return;
    failure = { error };
    try {
      tx.abort();
    } catch {
      // It is over already, and its end tells how.
    }
  };
  const abort = () => fail(cancelled());
  const expire = () => fail(new TabmqError("TIMEOUT", `not stored within ${timeout_ms} ms`));
  signal?.addEventListener("abort", abort);
  const timer = timeout_ms > 2 ** 31 - 1 ? undefined : setTimeout(expire, timeout_ms);
  try {
    await new Promise<void>((resolve, reject) => {
      tx.oncomplete = () => resolve();
      tx.onabort = () => reject(failure ? failure.error : refused(tx.error));
      const first = steps.begin(tx);
      first.onsuccess = () => {
        try {
          const going = steps.go(tx, first.result);
          if (!(going instanceof Promise)) return void (result = going);
          const waiting = { over: false };
          going.then((value) => (result = value), fail).finally(() => (waiting.over = true));
          keepOpen(tx, stores[0] as string, waiting);
        } catch (error) {
          fail(error);
        }
      };
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
  return result as Result;
}

/** A transaction without a request is over, so one is always under way. */
function keepOpen(tx: IDBTransaction, store: string, waiting: { over: boolean }): void {
  try {
    const request = tx.objectStore(store).getKey(0);
    request.onsuccess = () => {
      if (!waiting.over) keepOpen(tx, store, waiting);
    };
  } catch {
    // It was aborted.
  }
}

function open(db: IDBDatabase, stores: readonly string[]): IDBTransaction {
  const absent = stores.find((store) => !db.objectStoreNames.contains(store));
  if (absent !== undefined) {
    throw new TabmqError("INVALID", `the database has no object store "${absent}"`, {
      data: { name: absent },
    });
  }
  try {
    // An acknowledgement must not survive a loss of power that takes the effect.
    return db.transaction([...new Set(stores)], "readwrite", { durability: "strict" });
  } catch (cause) {
    throw new TabmqError("CLOSED", "the database is closed", { cause });
  }
}

function refused(cause: DOMException | null): TabmqError {
  const reason = cause?.name === "QuotaExceededError" ? "quota" : (cause?.name ?? "aborted");
  return new TabmqError("STORAGE", `the database did not store it: ${reason}`, {
    cause,
    data: { reason },
  });
}
