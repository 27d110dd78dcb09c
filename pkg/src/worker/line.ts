import type { FromPage, Port } from "./messages.js";

/** Starts the worker, or connects to the one that runs. */
export type MakeWorker = () => SharedWorker | Worker;

/** A worker as one bus of a page reaches it. */
export interface Line {
  readonly worker: SharedWorker | Worker;
  readonly port: Port;
  close(): void;
}

/**
 * All buses of a page share one object per shared worker: an engine keeps each such object, and
 * whatever listens to it, for as long as the worker runs.
 */
const running = new WeakMap<MakeWorker, SharedWorker>();

/** Starts the worker, or reaches the one that runs. */
export function lineTo(make: MakeWorker): Line {
  const worker = running.get(make) ?? make();
  if (!("port" in worker)) return { worker, port: worker, close: () => worker.terminate() };
  running.set(make, worker);
  const { port1, port2 } = new MessageChannel();
  worker.port.postMessage({ say: "join" } satisfies FromPage, [port2]);
  return { worker, port: port1, close: () => port1.close() };
}

/** This worker died, can't be started, or its page goes out of use: the next line is to another. */
export function forget(make: MakeWorker, worker: SharedWorker | Worker): void {
  if (running.get(make) !== worker) return;
  running.delete(make);
  worker.port.close();
}
