import { setDefaultSource } from "../wasm.js";
import { hostForPages } from "../worker/host.js";

setDefaultSource(() => new URL("./tabmq.wasm", import.meta.url));

hostForPages();
