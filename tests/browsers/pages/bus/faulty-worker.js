// The worker of the package, with a core that panics.
export * from "./faults.js";
export * from "../tabmq/worker.js";
