/** Something to come in one realm, or in the world itself. */
export interface Entry<Owner> {
  readonly at: number;
  readonly number: number;
  readonly owner: Owner | undefined;
  readonly what: string;
  readonly run: () => void;
  cancelled: boolean;
}

/** What happens next, in virtual time; of the same time what was added first. */
export class Schedule<Owner> {
  /** Microseconds since the run began. */
  now = 0;
  #added = 0;
  /** A binary heap. */
  readonly #entries: Entry<Owner>[] = [];

  /** Adds what happens after so many microseconds. */
  after(micros: number, owner: Owner | undefined, what: string, run: () => void): Entry<Owner> {
    this.#added += 1;
    const at = this.now + Math.max(0, Math.round(micros));
    const entry = { at, number: this.#added, owner, what, run, cancelled: false };
    this.#rise(entry);
    return entry;
  }

  /** The next entry; the clock moves to its time. */
  pop(): Entry<Owner> | undefined {
    for (;;) {
      const [first] = this.#entries;
      const last = this.#entries.pop();
      if (!first || !last) return undefined;
      if (first !== last) this.#sink(last);
      if (first.cancelled) continue;
      this.now = first.at;
      return first;
    }
  }

  #rise(entry: Entry<Owner>): void {
    const entries = this.#entries;
    let place = entries.push(entry) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = entries[parent] as Entry<Owner>;
      if (isBefore(above, entry)) break;
      entries[place] = above;
      place = parent;
    }
    entries[place] = entry;
  }

  #sink(entry: Entry<Owner>): void {
    const entries = this.#entries;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      const right = entries[child + 1];
      if (right && isBefore(right, entries[child] as Entry<Owner>)) child += 1;
      const below = entries[child];
      if (!below || isBefore(entry, below)) break;
      entries[place] = below;
      place = child;
    }
    entries[place] = entry;
  }
}

function isBefore<Owner>(a: Entry<Owner>, b: Entry<Owner>): boolean {
  return a.at < b.at || (a.at === b.at && a.number < b.number);
}
