// What processing a flight leaves behind: one row per flight, in a database of the demo's own.

const STORE = "effects";

function promiseOf(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function open() {
  const request = indexedDB.open("flights-effects", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
  return promiseOf(request);
}

const database = await open();

/** Adds the row; false if one with its id is there, which then stays as it is. */
export function addEffect(effect) {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, "readwrite");
    transaction.oncomplete = () => resolve(true);
    transaction.onabort = () => {
      if (transaction.error?.name === "ConstraintError") resolve(false);
      else reject(transaction.error);
    };
    transaction.objectStore(STORE).add(effect);
  });
}

export function countEffects() {
  return promiseOf(database.transaction(STORE).objectStore(STORE).count());
}

/** The ids, ascending. */
export function effectIds() {
  return promiseOf(database.transaction(STORE).objectStore(STORE).getAllKeys());
}

export function clearEffects() {
  return promiseOf(database.transaction(STORE, "readwrite").objectStore(STORE).clear());
}

/** Walks over the rows and adds them up, in the form of the totals of the file. */
export function totalsOfEffects() {
  const totals = { count: 0, delay: 0, distance: 0, origins: {} };
  const add = (sums, { delay, distance }) => {
    sums.count += 1;
    sums.delay += delay;
    sums.distance += distance;
  };
  return new Promise((resolve, reject) => {
    const request = database.transaction(STORE).objectStore(STORE).openCursor();
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const cursor = request.result;
      if (cursor === null) return resolve(totals);
      const { origin } = cursor.value;
      totals.origins[origin] ??= { count: 0, delay: 0, distance: 0 };
      add(totals, cursor.value);
      add(totals.origins[origin], cursor.value);
      cursor.continue();
    };
  });
}
