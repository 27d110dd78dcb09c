/** What begins anew does so this often, and then no more for a while. */
const RESTARTS_MAX = 3;
const RESTARTS_PER_MS = 60_000;

/** Counts how often something began anew. */
export class Restarts {
  #times: number[] = [];

  /** Counts one more. False if that is too many. */
  count(): boolean {
    const now = performance.now();
    this.#times = this.#times.filter((at) => now - at < RESTARTS_PER_MS).concat(now);
    return this.#times.length < RESTARTS_MAX;
  }
}
