import { setAlarm } from "./alarms.js";
import type { Events } from "./events.js";
import { invalid, isTabmqError, TabmqError } from "./errors.js";
import { checkIngest, checkItem } from "./options.js";
import type { BatchItem, Ingested, IngestOptions, IngestStream, Receipt } from "./types.js";
import { Source } from "./watch.js";

type Item = BatchItem<unknown>;
type Send = (items: readonly Item[], options: object) => Promise<Receipt[]>;

const BATCH = 100;
const LINGER_MS = 5;
/** After so long others have a turn. */
const BUSY_MS = 20;

/** Items on their way to one queue, in batches, as many at a time as the node would like. */
class Ingest {
  readonly progress: Source<Ingested>;
  readonly #send: Send;
  readonly #batch_max: number;
  readonly #linger_ms: number;
  readonly #options: object;
  #batch: Item[] = [];
  #breath = performance.now();
  #failure: { error: unknown } | undefined;
  #takeBack: (() => void) | undefined;
  /** Told whenever something is answered, or more may be under way. */
  #wake = () => {};
  readonly #release: () => void;

  constructor(events: Events, send: Send, options: IngestOptions | undefined) {
    const { batch = BATCH, linger = LINGER_MS, ...others } = checkIngest(options);
    this.#send = send;
    this.#batch_max = batch;
    this.#linger_ms = linger;
    this.#options = others;
    const window = events.window.get();
    this.progress = new Source({ stored: 0, duplicates: 0, batches: 0, underWay: 0, window });
    this.#release = events.followWindow((items) => this.#tell({ window: items }));
  }

  /** A promise, if the node has enough for now. */
  add(item: Item): void | Promise<void> {
    this.#check();
    checkItem(item, "an item");
    this.#batch.push(item);
    if (this.#batch.length >= this.#batch_max) this.flush();
    else this.#takeBack ??= setAlarm(this.#linger_ms, () => this.flush());
    const { underWay, window } = this.progress.get();
    // One batch may always be under way.
    if (underWay && underWay + this.#batch.length >= window) return this.#until(this.#hasRoom);
    if (performance.now() - this.#breath > BUSY_MS) return this.#breathe();
  }

  flush(): void {
    this.#takeBack?.();
    this.#takeBack = undefined;
    const items = this.#batch.splice(0);
    if (!items.length || this.#failure) return;
    this.#tell({ underWay: this.progress.get().underWay + items.length });
    this.#send(items, this.#options).then(
      (receipts) => this.#answered(receipts),
      (error: unknown) => this.#fail(error, items.length),
    );
  }

  /** Where the host runs in this realm, all of this could go on without an end. */
  async #breathe(): Promise<void> {
    await new Promise<void>((resolve) => {
      setTimeout(resolve);
    });
    this.#breath = performance.now();
    this.#check();
  }

  async end(): Promise<Ingested> {
    this.flush();
    await this.#until(() => !this.progress.get().underWay);
    this.close();
    return this.progress.get();
  }

  /** Nothing more is sent. */
  close(): void {
    this.#failure ??= { error: invalid("the stream is closed") };
    this.#takeBack?.();
    this.#release();
    this.#wake();
  }

  readonly #hasRoom = (): boolean => {
    const { underWay, window } = this.progress.get();
    return underWay < window;
  };

  async #until(done: () => boolean): Promise<void> {
    while (!this.#failure && !done())
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    this.#check();
    if (performance.now() - this.#breath > BUSY_MS) await this.#breathe();
  }

  #answered(receipts: readonly Receipt[]): void {
    const { stored, duplicates, batches, underWay } = this.progress.get();
    const repeated = receipts.filter(({ duplicate }) => duplicate).length;
    const left = { underWay: underWay - receipts.length };
    if (this.#failure) return this.#tell(left);
    this.#tell({
      ...left,
      stored: stored + receipts.length - repeated,
      duplicates: duplicates + repeated,
      batches: batches + 1,
    });
  }

  #fail(error: unknown, count: number): void {
    const { stored } = this.progress.get();
    this.#failure ??= { error: isTabmqError(error) ? withCount(error, stored) : error };
    this.#tell({ underWay: this.progress.get().underWay - count });
    this.#release();
  }

  #tell(change: Partial<Ingested>): void {
    this.progress.set({ ...this.progress.get(), ...change });
    this.#wake();
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
  }
}

/** The same error, and how many items before it are stored. */
function withCount(error: TabmqError, stored: number): TabmqError {
  const { code, message, maybeExecuted, data, cause } = error;
  return new TabmqError(code, message, { maybeExecuted, cause, data: { ...data, stored } });
}

export async function sendAll(
  events: Events,
  send: Send,
  items: Iterable<Item> | AsyncIterable<Item>,
  options: IngestOptions | undefined,
): Promise<Ingested> {
  if (!(Symbol.iterator in Object(items) || Symbol.asyncIterator in Object(items)))
    throw invalid("sendAll: the items must be iterable", "items");
  const ingest = new Ingest(events, send, options);
  try {
    for await (const item of items) {
      const room = ingest.add(item);
      if (room) await room;
    }
    return await ingest.end();
  } finally {
    ingest.close();
  }
}

export function writable(
  events: Events,
  send: Send,
  options: IngestOptions | undefined,
): IngestStream<unknown> {
  const ingest = new Ingest(events, send, options);
  const stream = new WritableStream<Item>({
    write: (item) => ingest.add(item),
    close: async () => void (await ingest.end()),
    abort: () => ingest.close(),
  });
  return Object.assign(stream, { progress: ingest.progress.watch(() => {}) });
}
