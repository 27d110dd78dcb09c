import wasm from "./tabmq-edge.wasm";

import { setDefaultSource } from "../wasm.js";

// Workers may not compile bytes at run time; the runtime hands the module over compiled.
setDefaultSource(() => wasm);

export * from "../index.js";
