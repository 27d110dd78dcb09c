// The package as a simulated page loads it: each page has a copy of its own, as a tab has.
export * from "../../index.js";
export * as idb from "../../idb.js";
export { setDefaultSource } from "../../wasm.js";
