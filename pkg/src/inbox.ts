/** Values on their way to one iteration. */
export class Inbox<T> {
  readonly values: T[] = [];
  readonly #waiting: ((result: IteratorResult<T, undefined>) => void)[] = [];
  #closed = false;

  push(value: T): void {
    const next = this.#waiting.shift();
    if (next) next({ value, done: false });
    else this.values.push(value);
  }

  /** What has arrived is still given out. */
  close(): void {
    this.#closed = true;
    for (const end of this.#waiting.splice(0)) end({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const [value] = this.values.splice(0, 1);
    if (value !== undefined) return Promise.resolve({ value, done: false });
    if (this.#closed) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
