/**
 * Who owes a sign of life, each for so long. A timer of the runtime runs meanwhile, which keeps an
 * object from sleeping, so that nobody who owes something is forgotten.
 */
export class Patience<T> {
  readonly #wait_ms: number;
  readonly #over: (who: T) => void;
  /** When it is over for each, the first one first: all wait for equally long. */
  readonly #ends = new Map<T, number>();
  #timeout: ReturnType<typeof setTimeout> | undefined;

  constructor(wait_ms: number, over: (who: T) => void) {
    this.#wait_ms = wait_ms;
    this.#over = over;
  }

  /** Begins anew with whoever is waited for already. */
  wait(who: T): void {
    this.#ends.delete(who);
    this.#ends.set(who, Date.now() + this.#wait_ms);
    this.#arm();
  }

  forget(who: T): void {
    if (this.#ends.delete(who) && !this.#ends.size) this.#disarm();
  }

  #arm(): void {
    const [first] = this.#ends.values();
    if (this.#timeout !== undefined || first === undefined) return;
    this.#timeout = setTimeout(() => this.#look(), Math.max(0, first - Date.now()));
  }

  #disarm(): void {
    clearTimeout(this.#timeout);
    this.#timeout = undefined;
  }

  #look(): void {
    this.#timeout = undefined;
    const now = Date.now();
    for (const [who, end] of this.#ends) {
      if (end > now) break;
      this.#ends.delete(who);
      this.#over(who);
    }
    this.#arm();
  }
}
