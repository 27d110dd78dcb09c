import { setDefaultSources } from "../sim/module.js";

/** `fetch` of Node does not read files. */
const read = async (url: URL) => (await import("node:fs/promises")).readFile(url);

setDefaultSources(
  () => read(new URL("./tabmq-sim.wasm", import.meta.url)),
  () => read(new URL("./tabmq.wasm", import.meta.url)),
);

export * from "../sim.js";
