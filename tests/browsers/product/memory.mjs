// How much memory a tab and the worker beside it take.

/** Bytes of JavaScript objects after a collection; `undefined` where the engine does not tell. */
export async function heapBytes(t, tab) {
  if (t.engine !== "chromium") return undefined;
  const session = await tab.page.createCDPSession();
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}

/** Before the package is loaded in a page, so that `wasmBytes` knows of its core. */
export async function measureWasm() {
  ({ wasmBytes: globalThis.wasmBytes } = await import("/demo/memory.js"));
}

/** Bytes of the cores in this page. */
export const wasmBytes = (tab) => tab.evaluate(() => globalThis.wasmBytes());

/** Bytes of the core in the worker that hosts, which is `measured-worker.js`. */
export function workerBytes(tab) {
  return tab.evaluate(() => {
    const measure = new BroadcastChannel("measure");
    return new Promise((resolve) => {
      measure.onmessage = ({ data }) => resolve(data);
      measure.postMessage(null);
    }).finally(() => measure.close());
  });
}
