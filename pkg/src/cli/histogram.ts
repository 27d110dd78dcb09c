/** Each bucket begins so many times above the one before it. */
const STEP = 1.01;
const SMALLEST_MS = 0.001;

/** Durations in buckets of one percent: its memory does not grow with how many there are. */
export class Histogram {
  readonly #buckets = new Map<number, number>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(time_ms: number): void {
    const above = Math.max(time_ms, SMALLEST_MS) / SMALLEST_MS;
    const bucket = Math.floor(Math.log(above) / Math.log(STEP));
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1);
    this.#count += 1;
  }

  /** The duration that this part of them does not exceed, to one percent; 0 if there is none. */
  quantile(part: number): number {
    let left = part * this.#count;
    for (const [bucket, count] of [...this.#buckets].sort(([one], [other]) => one - other)) {
      left -= count;
      if (left <= 0) return SMALLEST_MS * STEP ** (bucket + 1);
    }
    return 0;
  }
}
