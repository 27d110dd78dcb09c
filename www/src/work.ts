/** Simulated work, done in a worker. */
export class Work {
  readonly #worker = new Worker(new URL("./work.worker.ts", import.meta.url), { type: "module" });
  readonly #waiting = new Map<number, () => void>();
  #last = 0;

  constructor() {
    this.#worker.addEventListener("message", ({ data }: MessageEvent<number>) => {
      this.#waiting.get(data)?.();
      this.#waiting.delete(data);
    });
  }

  /** Takes that long. Rejects with the reason of `signal` if that comes first. */
  do(work_ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      this.#last += 1;
      const number = this.#last;
      const abort = () => {
        this.#waiting.delete(number);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.set(number, () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      });
      this.#worker.postMessage({ number, work_ms });
    });
  }
}
