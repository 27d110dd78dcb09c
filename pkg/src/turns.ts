/** What a verb carries. With blobs inside, its bytes come later. */
export type Encoded = Uint8Array | Promise<Uint8Array>;

/** Verbs that wait for bytes from elsewhere. What follows waits too: the order stays. */
export class Turns {
  #last: Promise<void> | undefined;
  #count = 0;

  /** Nobody waits. */
  get none(): boolean {
    return !this.#count;
  }

  /** Gives the bytes to `next` once all before had their turn. */
  take(encoded: Encoded, next: (bytes: Uint8Array) => void, fail: (error: unknown) => void): void {
    this.#count += 1;
    this.#last = this.#take(this.#last, encoded, next).catch(fail);
  }

  async #take(
    before: Promise<void> | undefined,
    encoded: Encoded,
    next: (bytes: Uint8Array) => void,
  ): Promise<void> {
    try {
      await before;
      next(await encoded);
    } finally {
      this.#count -= 1;
    }
  }
}
