/** How long a frame is where there are none: 60 a second. */
const FRAME_MS = 16;
/** A page in view that draws nothing, as one behind another window, is not waited for longer. */
const LATE_FRAME_MS = 250;

/** One place in the line: the newest value of a key. */
export interface Slot<T> {
  readonly value: T;
  /** Values of its key that this one took the place of. */
  readonly conflated: number;
}

type End<T> = (result: IteratorResult<Slot<T>, undefined>) => void;

/**
 * The newest value of each key, from its arrival until it is taken. Keys stand in the order in
 * which their newest values came. All become due together, at most once in a period: at its end, or
 * at once if the last one is over.
 */
export class Conflation<T> {
  /** Not due yet, and due. A key is in one of them at most. */
  readonly #early = new Map<unknown, Slot<T>>();
  readonly #due = new Map<unknown, Slot<T>>();
  readonly #every: number | "frame";
  readonly #onDue: () => void;
  readonly #waiting: End<T>[] = [];
  #ripened = -Infinity;
  #forget: (() => void) | undefined;
  #conflated = 0;
  #closed = false;

  /** `every` is in milliseconds. `onDue` is called when values became due. */
  constructor(every: number | "frame", onDue: () => void) {
    this.#every = every;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#early.size + this.#due.size;
  }

  /** Values that another took the place of, since the beginning. */
  get conflated(): number {
    return this.#conflated;
  }

  has(key: unknown): boolean {
    return this.#early.has(key) || this.#due.has(key);
  }

  /** Takes the place of the value of that key, behind all others. */
  put(key: unknown, value: T): void {
    // What is due stays so: the period of that key is over.
    const line = this.#due.has(key) ? this.#due : this.#early;
    const before = line.get(key);
    line.delete(key);
    line.set(key, { value, conflated: before ? before.conflated + 1 : 0 });
    if (before) this.#conflated += 1;
    else this.#schedule();
  }

  /** The first that is due. */
  take(): Slot<T> | undefined {
    return shift(this.#due);
  }

  /** The first one, due or not. */
  takeEarly(): Slot<T> | undefined {
    return this.take() ?? shift(this.#early);
  }

  /** The first that is due, once one is. After the end nothing comes but what is due. */
  next(): Promise<IteratorResult<Slot<T>, undefined>> {
    const value = this.take();
    if (value) return Promise.resolve({ value, done: false });
    if (this.#closed) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Everything is due now. */
  ripen(): void {
    this.#forget?.();
    this.#forget = undefined;
    this.#ripened = performance.now();
    for (const [key, slot] of this.#early) this.#due.set(key, slot);
    this.#early.clear();
    while (this.#waiting.length && this.#due.size)
      this.#waiting.shift()?.({ value: this.take() as Slot<T>, done: false });
    this.#onDue();
  }

  close(): void {
    this.#closed = true;
    this.#forget?.();
    this.#early.clear();
    for (const end of this.#waiting.splice(0)) end({ value: undefined, done: true });
  }

  #schedule(): void {
    if (this.#forget || this.#closed || !this.#early.size) return;
    const ripen = () => this.ripen();
    const left_ms = (every: number) => this.#ripened + every - performance.now();
    this.#forget = this.#every === "frame" ? onFrame(ripen) : after(left_ms(this.#every), ripen);
  }
}

function shift<T>(line: Map<unknown, Slot<T>>): Slot<T> | undefined {
  for (const [key, slot] of line) {
    line.delete(key);
    return slot;
  }
  return undefined;
}

function after(wait_ms: number, run: () => void): () => void {
  const timer = setTimeout(run, Math.max(0, Math.ceil(wait_ms)));
  return () => clearTimeout(timer);
}

/** Runs with the next frame, or by a timer where nothing is drawn: out of sight, in Node.js. */
function onFrame(run: () => void): () => void {
  const { requestAnimationFrame: request, document: page } = globalThis as Partial<
    typeof globalThis
  >;
  if (!request || page?.visibilityState === "hidden") return after(FRAME_MS, run);
  const once = () => {
    forget();
    run();
  };
  const late = after(LATE_FRAME_MS, once);
  const frame = request(once);
  const forget = () => {
    late();
    cancelAnimationFrame(frame);
  };
  return forget;
}
