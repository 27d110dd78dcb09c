import { setDefaultSource } from "../wasm.js";
import { setDefaultWorkers } from "../worker/page.js";

// Bundlers know this form: they copy the file and put its address here.
setDefaultSource(() => new URL("./tabmq.wasm", import.meta.url));
setDefaultWorkers({
  "shared-worker": () =>
    new SharedWorker(new URL("./worker.js", import.meta.url), { type: "module", name: "tabmq" }),
  worker: () =>
    new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "tabmq" }),
});

export * from "../index.js";
