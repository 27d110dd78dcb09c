// What processing leaves behind, in a database of the load's own. Every row has the next number, so
// their order is that in which they were written.
import { createInbox, inbox } from "../tabmq/idb.js";

const PAGE_ROWS = 5_000;

function promiseOf(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function open() {
  const request = indexedDB.open("chaos-effects", 1);
  request.onupgradeneeded = () => {
    const { result } = request;
    result.createObjectStore("known");
    result.createObjectStore("effects", { autoIncrement: true });
    createInbox(result);
  };
  return promiseOf(request);
}

const database = await open();
const marks = inbox(database, { keep: "1d" });

/** Adds a row unless one of its id is there; tells whether it did. */
export function addKeyed(id) {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(["known", "effects"], "readwrite");
    transaction.oncomplete = () => resolve(true);
    transaction.onabort = () => {
      if (transaction.error?.name === "ConstraintError") resolve(false);
      else reject(transaction.error ?? new Error("the effect was aborted"));
    };
    transaction.objectStore("known").add(true, id);
    transaction.objectStore("effects").add(id);
  });
}

/** Adds a row, and leaves it to the inbox of the package that there is one for each delivery. */
export function addOnce(delivery) {
  return marks.once(delivery, "effects", (tx) => {
    tx.objectStore("effects").add(delivery.id);
  });
}

/** The rows behind number `after`, ascending, as `[number, id]`; not all of them at once. */
export async function readEffects(after) {
  const store = database.transaction("effects").objectStore("effects");
  const range = IDBKeyRange.lowerBound(after, true);
  const [keys, ids] = await Promise.all([
    promiseOf(store.getAllKeys(range, PAGE_ROWS)),
    promiseOf(store.getAll(range, PAGE_ROWS)),
  ]);
  return keys.map((key, index) => [key, ids[index]]);
}
