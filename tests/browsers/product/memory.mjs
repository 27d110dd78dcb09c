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

/**
 * Bytes of the core in the worker that hosts, which is `measured-worker.js`. It is asked again now
 * and then, because a page may host in its place at the moment.
 */
export async function workerBytes(tab, deadline_ms) {
  await tab.evaluate(() => {
    globalThis.measured = undefined;
    globalThis.measure = new BroadcastChannel("measure");
    globalThis.measure.onmessage = ({ data }) => (globalThis.measured = data);
  });
  const ask = (every_ms) => {
    const { asked_at = -Infinity, measure, measured } = globalThis;
    if (performance.now() - asked_at > every_ms) {
      globalThis.asked_at = performance.now();
      measure.postMessage(null);
    }
    return measured;
  };
  const bytes = await tab.waitFor(ask, { args: [500], deadline_ms, what: "the worker hosts" });
  await tab.evaluate(() => globalThis.measure.close());
  return bytes;
}
