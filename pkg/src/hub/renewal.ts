import type { Engine } from "../engine.js";

/** A longer timer fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** Nobody asks the hub more often: `RENEW_EVERY_MS` of src/limits.rs. */
const RENEW_EVERY_MS = 1000;

/**
 * Hands another token to the hub before the grant of the socket is over. Each tab of a device may;
 * the first that does is answered for all.
 */
export class Renewal {
  readonly #engine: Engine;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** The hub has granted for so long, from now on; null is for ever. */
  granted(ends_in_ms: number | null): void {
    this.stop();
    const { hub } = this.#engine.options;
    if (ends_in_ms !== null && typeof hub?.token === "function")
      this.#plan(performance.now() + ends_in_ms);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Some time before the end, and not when all tabs do. Each next try has less time left. */
  #plan(ends_at: number): void {
    const wait_ms = (ends_at - performance.now()) * (0.6 + 0.2 * Math.random());
    // What ends sooner ends, and its client comes back with another token.
    if (wait_ms < RENEW_EVERY_MS) return;
    const [step_ms, due] = [Math.min(wait_ms, TIMER_MS_MAX), wait_ms <= TIMER_MS_MAX];
    this.#timer = setTimeout(() => {
      if (due) this.#engine.renewGrant();
      this.#plan(ends_at);
    }, step_ms);
  }
}
