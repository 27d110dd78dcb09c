// Gives the storage in IndexedDB to the orders of a test, by the code that a host uses.
import load, { Store } from "../storage-border/storage_border.js";

await load({ module_or_path: "/storage-border/storage_border_bg.wasm" });

/** One step of the list; resolves with its answer. */
globalThis.perform = async (store, name, given) =>
  JSON.parse(await store.perform(name, JSON.stringify(given ?? null)));

/** A store that has claimed its database and looked at it again, as the core does. */
globalThis.claimed = async (name, claim) => {
  const store = new Store(name);
  const { fence, manifest } = await perform(store, "open");
  const puts = manifest === null ? [["manifest", 0, "log"]] : [];
  const answer = await perform(store, "commit", { expect: fence, claim, strict: true, puts });
  if (answer !== "committed") throw new Error(`claim ${claim}: ${answer}`);
  await perform(store, "open");
  return store;
};

/** All chunks, as text. */
globalThis.chunks = async (store) => {
  const numbers = await perform(store, "list");
  return perform(store, "read", numbers.map((number) => ["chunk", number]));
};

globalThis.Store = Store;
globalThis.loaded = true;
globalThis.parent.onFrameLoaded?.();
