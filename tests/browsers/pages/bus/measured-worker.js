// The worker of the package, which tells on a channel how large the memory of its core is, if it is
// the one that hosts: each page may have a worker of its own, and some of them only stand by.
import { wasmBytes } from "../demo/memory.js";

export * from "../tabmq/worker.js";

const own = `measure:${crypto.randomUUID()}`;
void navigator.locks.request(own, () => new Promise(() => {}));

const measure = new BroadcastChannel("measure");
measure.onmessage = async () => {
  const { held } = await navigator.locks.query();
  const holder = (wanted) => held.find(({ name }) => name === wanted)?.clientId;
  if (holder("tabmq:test:node") === holder(own)) measure.postMessage(wasmBytes());
};
