/** A value that changes. `get` answers the same object until the value changes. */
export interface Watch<T> {
  get(): T;
  /** Calls `run` with each new value. The answer ends it. */
  subscribe(run: (value: T) => void): () => void;
}

/** The writing side of a `Watch`. */
export class Source<T> {
  readonly #runs = new Set<(value: T) => void>();
  #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  get(): T {
    return this.#value;
  }

  set(value: T): void {
    if (value === this.#value) return;
    this.#value = value;
    const runs = Array.from(this.#runs);
    for (const run of runs) {
      try {
        run(value);
      } catch (error) {
        // A watcher must not keep the others from being told.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** The reading side. `first` runs when somebody subscribes. Hooks may take the functions off. */
  watch(first: () => void): Watch<T> {
    return {
      get: () => this.#value,
      subscribe: (run) => {
        // A wrapper, so that one function may subscribe twice.
        const own = (value: T) => run(value);
        this.#runs.add(own);
        first();
        return () => void this.#runs.delete(own);
      },
    };
  }
}
