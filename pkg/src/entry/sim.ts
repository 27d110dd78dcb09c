import { setDefaultSources } from "../sim/module.js";

// Bundlers know this form: they copy the file and put its address here.
setDefaultSources(
  () => new URL("./tabmq-sim.wasm", import.meta.url),
  () => new URL("./tabmq.wasm", import.meta.url),
);

export * from "../sim.js";
