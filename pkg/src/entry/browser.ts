import { setDefaultSource } from "../wasm.js";

// Bundlers know this form: they copy the file and put its address here.
setDefaultSource(() => new URL("./tabmq.wasm", import.meta.url));

export * from "../index.js";
