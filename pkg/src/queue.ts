import { encodeAll, type Item, itemOf, part } from "./batch.js";
import { type Handler, LiveConsumer } from "./consumer.js";
import type { Context } from "./context.js";
import { ID, NEWEST, readCounts } from "./counts.js";
import { declaration } from "./declaration.js";
import { type Declared, type Encoded, NOTHING } from "./engine.js";
import { encodeNow } from "./codec/encode.js";
import { invalid, isTabmqError } from "./errors.js";
import { sendAll, writable } from "./ingest.js";
import { type Asking, type CheckHandler, onCheck, prepare, prepared } from "./prepared.js";
import { Receipts, TrackedMessage } from "./receipt.js";
import { queuedMessage } from "./message.js";
import type { Duration } from "./duration.js";
import {
  checkBatch,
  checkBrowse,
  checkConsume,
  checkDelete,
  checkItem,
  checkPause,
  type CheckedQueue,
  type CheckedWait,
  checkQueue,
  checkReceive,
  checkRedrive,
  checkSampling,
  checkSchedule,
  type CheckedSend,
  checkSend,
  checkWait,
  checkWhen,
  patience,
} from "./options.js";
import { receiptsOfDevice } from "./hub/receipts.js";
import { homeOf, requireHub } from "./keeping.js";
import { listed, pages } from "./pages.js";
import { attempt, type Patience, Pending } from "./pending.js";
import { encodePick, encodeRedrive, TASK } from "./redrive.js";
import type { RawBus, RawEventOf, RawSchedule } from "./raw.js";
import { checkKey, encodeSchedule, readSchedule } from "./schedules.js";
import { statsOf } from "./stats.js";
import type {
  BatchItem,
  BatchOptions,
  BrowseOptions,
  Checker,
  Consumer,
  ConsumeOptions,
  Delivery,
  Ingested,
  IngestOptions,
  IngestStream,
  Prepared,
  PrepareOptions,
  Queue,
  QueueInfo,
  QueueStats,
  QueuedMessage,
  QueueOptions,
  Receipt,
  RedriveOptions,
  SamplingTime,
  Schedule,
  ScheduleOptions,
  ScheduleTime,
  SendOptions,
  Tracking,
  Wait,
} from "./types.js";
import type { Watch } from "./watch.js";

type StateEvent = RawEventOf<"queueState">;

export class QueueClient implements Queue<unknown, unknown> {
  readonly name: string;
  readonly #context: Context;
  readonly #options: CheckedQueue;
  /** The declaration as it crosses the border. */
  readonly #wire: object;
  readonly #isDeadLetters: boolean;
  #stats: Watch<QueueStats> | undefined;
  readonly receipts: Receipts;
  /** For the verbs of prepared messages. */
  readonly #asking: Asking;

  constructor(
    context: Context,
    name: string,
    options: QueueOptions | undefined,
    isDeadLetters = false,
  ) {
    this.name = name;
    this.#isDeadLetters = isDeadLetters;
    this.#context = context;
    this.#options = checkQueue(options);
    const { deadLetter, expired } = this.#options;
    for (const other of [deadLetter, expired]) if (other) context.owns?.(other, "queue");
    this.#wire = declaration(this.#options);
    this.receipts = new Receipts(context, name, this.#options.durability);
    this.#asking = {
      context,
      name,
      ask: (...question) => this.#ask(...question),
      receipts: this.receipts,
    };
  }

  get deadLetters(): Queue<unknown, unknown> {
    const { deadLetter = `${this.name}.dead` } = this.#options;
    if (deadLetter === false)
      throw invalid(`queue "${this.name}" keeps no dead letters`, "deadLetter");
    return new QueueClient(this.#context, deadLetter, undefined, true);
  }

  send(body: unknown, options?: SendOptions): Promise<Receipt> {
    return attempt(() => {
      const checked = checkSend(options);
      requireHub(this.#context, "send", checked.confirm);
      if (checked.confirm !== "processed") return this.#send(body, checked, checked.track);
      const rest = this.#rest(checked);
      const sent = this.#send(body, checked, checked.track ?? true);
      return sent.then((stored) => stored.processed(rest()).then(() => stored));
    });
  }

  #send(body: unknown, checked: CheckedSend, track = false): Promise<Receipt> {
    const { durability, supersede, confirm } = checked;
    const early = receiptsOfDevice(this.#context, this.name, durability, confirm);
    const id = checked.id ?? early?.newId();
    const named = early ? { ...checked, id } : checked;
    const item = itemOf(this.#context, this.name, body, named, track, "");
    let made: Item;
    const keep = (ready: Item) => (made = ready)[0];
    const give = (raw: RawBus, bytes: Uint8Array) => {
      const [, properties, delay_ms, , , ttl_ms, priority] = made;
      if (ttl_ms !== null || priority !== null || supersede !== undefined)
        return raw.sendBatch(this.name, encodeNow([made]), durability, supersede);
      return raw.send(this.name, bytes, properties, delay_ms, durability, track);
    };
    const encoded = item instanceof Promise ? item.then(keep) : keep(item);
    const kept = early?.one(id as string, track);
    return this.#ask("send", checked, encoded, give, this.#readSent(named, track), kept);
  }

  /** Apart from `#send`, so that who waits for the answer does not hold the message. */
  #readSent({ durability, id }: CheckedSend, track: boolean) {
    return (event: RawEventOf<"sent">) => this.receipts.make(durability, event, 0, id, track);
  }

  sendBatch(items: readonly BatchItem<unknown>[], options?: BatchOptions): Promise<Receipt[]> {
    return attempt(() => {
      const wait = checkBatch(options);
      if (!Array.isArray(items) || !items.length)
        throw invalid("sendBatch: items must be an array that is not empty");
      const early = receiptsOfDevice(this.#context, this.name, wait.durability, undefined);
      const parts = items.map((item, index) => {
        const { body, ...checked } = checkItem(item, `items[${index}]`);
        const id = checked.id ?? early?.newId();
        return part(this.#context, this.name, body, { ...checked, id }, `items[${index}].`);
      });
      const bytes = encodeAll(
        parts.map(({ item }) => item),
        encodeNow,
      );
      return this.#ask(
        "sendBatch",
        wait,
        bytes,
        (raw, batch) => raw.sendBatch(this.name, batch, wait.durability),
        (event: RawEventOf<"sent">) =>
          parts.map(({ id, track }, index) =>
            this.receipts.make(wait.durability, event, index, id, track),
          ),
        early?.many(parts),
      );
    });
  }

  sendAll(
    items: Iterable<BatchItem<unknown>> | AsyncIterable<BatchItem<unknown>>,
    options?: IngestOptions,
  ): Promise<Ingested> {
    return attempt(() => sendAll(this.#context.engine.events, this.#sendBatch, items, options));
  }

  writable(options?: IngestOptions): IngestStream<unknown> {
    this.#context.check();
    return writable(this.#context.engine.events, this.#sendBatch, options);
  }

  readonly #sendBatch = (items: readonly BatchItem<unknown>[], options: object) =>
    this.sendBatch(items, options);

  prepare(body: unknown, options?: PrepareOptions): Promise<Prepared> {
    return attempt(() => prepare(this.#asking, body, options));
  }

  prepared(id: string): Prepared {
    return prepared(this.#asking, id);
  }

  onCheck(handler: CheckHandler, options?: { signal?: AbortSignal }): Checker {
    return onCheck(this.#asking, handler, options);
  }

  receipt(id: string): Tracking {
    if (typeof id !== "string" || !id) throw invalid("receipt: the id must be a string", "id");
    return new TrackedMessage(this.#context, this.name, id, true);
  }

  process(options: ConsumeOptions | Handler, handler?: Handler): Consumer {
    const run = typeof options === "function" ? options : handler;
    if (typeof run !== "function") throw invalid("process: there is no handler", "handler");
    return this.#consumer(
      checkConsume("process", typeof options === "function" ? undefined : options),
      run,
    );
  }

  consume(options?: ConsumeOptions): LiveConsumer {
    return this.#consumer(checkConsume("consume", options), undefined);
  }

  receive(options?: Wait & { max?: number }): Promise<Delivery<unknown>[]> {
    return attempt(() => {
      const { max = 1, maxBytes: prefetchBytes, ...wait } = checkReceive(options);
      const limits = prefetchBytes === undefined ? {} : { prefetchBytes };
      const consumer = this.#consumer({ concurrency: max, ...limits }, undefined);
      return this.#receive(consumer, max, this.#patience("receive", wait));
    });
  }

  async *browse(options?: BrowseOptions): AsyncGenerator<QueuedMessage<unknown>> {
    const { limit, delayed = false, leased = false, headersOnly = false, ...wait } =
      checkBrowse(options);
    const look = { delayed, leased, headersOnly };
    const { codec } = this.#context;
    const patient = () => this.#patience("browse", wait);
    for await (const page of pages(this.#context, this.name, look, patient, limit))
      for (const message of page) yield queuedMessage(codec, this.name, message, headersOnly);
  }

  get stats(): Watch<QueueStats> {
    this.#stats ??= statsOf(this.#context, this.name);
    return this.#stats;
  }

  pause(options?: Wait & { for?: Duration }): Promise<void> {
    return attempt(() => {
      const { for: for_ms, ...wait } = checkPause(options);
      const begin = (raw: RawBus) => raw.pause(this.name, true, for_ms);
      return this.#ask("pause", wait, NOTHING, begin, () => undefined);
    });
  }

  resume(options?: Wait): Promise<void> {
    return attempt(() => {
      const begin = (raw: RawBus) => raw.pause(this.name, false);
      return this.#ask("resume", checkWait("resume", options), NOTHING, begin, () => undefined);
    });
  }

  purge(options?: Wait): Promise<number> {
    return attempt(async () => {
      const wait = checkWait("purge", options),
        rest = this.#rest(wait);
      const through = await this.#inspect("purge", wait, (event) => event[2][NEWEST] as number);
      const begin = (raw: RawBus) => raw.purge(this.name, through);
      return this.#ask("purge", rest(), NOTHING, begin, count);
    });
  }

  delete(options?: Wait & { ifUnused?: boolean; ifEmpty?: boolean }): Promise<number> {
    return attempt(async () => {
      const { ifUnused = false, ifEmpty = false, ...wait } = checkDelete(options);
      const rest = this.#rest(wait);
      const id = await this.#inspect("delete", wait, (event) => event[2][ID] as number);
      const begin = (raw: RawBus) => raw.deleteQueue(this.name, id, ifUnused, ifEmpty);
      return this.#ask("delete", rest(), NOTHING, begin, count);
    });
  }

  cancel(id: string, options?: Wait): Promise<boolean> {
    return attempt(async () => {
      const wait = checkWait("cancel", options);
      if (typeof id !== "string" || !id) throw invalid("cancel: the id must be a string", "id");
      const { name: queue } = this;
      const order = encodePick({ where: { ids: [id] }, max: 1, task: TASK.cancel, queue });
      const begin = (raw: RawBus) => raw.redrive(order);
      return (await this.#ask("cancel", wait, NOTHING, begin, count)) > 0;
    });
  }

  redrive(options?: RedriveOptions): Promise<number> {
    return attempt(() => {
      const { signal, timeout, ...redrive } = checkRedrive(options);
      if (redrive.into !== undefined) this.#context.owns?.(redrive.into, "queue");
      const bytes = encodeRedrive(this.name, this.#isDeadLetters, redrive);
      // One with a rate takes its time.
      const wait = { signal, timeout: timeout ?? (redrive.rate ? Infinity : undefined) };
      return this.#ask("redrive", wait as CheckedWait, bytes, (raw) => raw.redrive(bytes), count);
    });
  }

  schedule(
    key: string,
    when: ScheduleTime | SamplingTime,
    body?: unknown,
    options?: ScheduleOptions,
  ): Promise<Schedule> {
    return attempt(async () => {
      const due = checkWhen(when);
      const checked = (due[1] === undefined ? checkSchedule : checkSampling)(options),
        rest = this.#rest(checked);
      const { durability } = checked;
      if (due[1] !== undefined) this.#context.owns?.(due[1], "topic");
      const order = encodeSchedule(this.#context, this.name, key, due, body, checked);
      const begin = (raw: RawBus, bytes: Uint8Array) => raw.schedule(this.name, bytes, durability);
      await this.#ask("schedule", checked, order, begin, () => undefined);
      for await (const found of this.#schedules("schedule", rest))
        if (found[0] === key) return readSchedule(found);
      // It was due already, and once.
      return { key, when, dueAt: undefined, last: undefined };
    });
  }

  unschedule(key: string, options?: Wait): Promise<boolean> {
    return attempt(async () => {
      const rest = this.#rest(checkWait("unschedule", options));
      checkKey("unschedule", key);
      for await (const [known, number] of this.#schedules("unschedule", rest)) {
        if (known !== key) continue;
        const begin = (raw: RawBus) => raw.unschedule(this.name, number);
        return (await this.#ask("unschedule", rest(), NOTHING, begin, count)) > 0;
      }
      return false;
    });
  }

  schedules(options?: Wait): Promise<Schedule[]> {
    return attempt(async () => {
      const rest = this.#rest(checkWait("schedules", options));
      const all: Schedule[] = [];
      for await (const found of this.#schedules("schedules", rest)) all.push(readSchedule(found));
      return all;
    });
  }

  /** Those of this queue; none if there is no such queue. */
  async *#schedules(verb: string, rest: () => CheckedWait): AsyncGenerator<RawSchedule> {
    let after: string | undefined;
    for (let more = true; more; ) {
      const behind = after;
      const begin = (raw: RawBus) => raw.listSchedules(this.name, behind);
      const asked = this.#ask(verb, rest(), NOTHING, begin, listed, undefined, true);
      const [found, others] = await asked.catch((error) => {
        if (isTabmqError(error, "NOT_FOUND")) return [[], false] as const;
        throw error;
      });
      for (const schedule of found as readonly RawSchedule[]) {
        [after] = schedule;
        yield schedule;
      }
      more = others;
    }
  }

  info(options?: Wait): Promise<QueueInfo> {
    return attempt(() => this.#inspect("info", checkWait("info", options), this.#read));
  }

  #inspect<T>(verb: string, wait: CheckedWait, read: (event: StateEvent) => T): Promise<T> {
    const begin = (raw: RawBus) => raw.inspect(this.name);
    return this.#ask(verb, wait, NOTHING, begin, read, undefined, true);
  }

  ready(options?: Wait): Promise<QueueInfo> {
    return attempt(() => this.#redeclare("ready", checkWait("ready", options)));
  }

  #consumer(options: ReturnType<typeof checkConsume>, handler: Handler | undefined): LiveConsumer {
    const declared = attempt(() => this.#declaration()?.promise);
    return new LiveConsumer(this.#context, this.name, options, handler, declared);
  }

  async #receive(
    consumer: LiveConsumer,
    max: number,
    wait: Patience,
  ): Promise<Delivery<unknown>[]> {
    if (wait.timeout_ms === 0) return this.#takeNow(consumer, max);
    const pending = new Pending<void>(wait, () => false);
    consumer.quiet = true;
    consumer.closed.addEventListener("abort", () => pending.reject(consumer.closed.reason));
    // What comes in one batch of events is taken together.
    consumer.onArrival = () => queueMicrotask(() => pending.resolve());
    try {
      await pending.promise;
      return consumer.takeArrived(max);
    } catch (error) {
      if (isTabmqError(error, "TIMEOUT")) return [];
      throw error;
    } finally {
      consumer.close();
    }
  }

  /** What the node had for the consumer when it heard of it: that comes before its next answer. */
  async #takeNow(consumer: LiveConsumer, max: number): Promise<Delivery<unknown>[]> {
    consumer.quiet = true;
    try {
      await consumer.ready();
      await this.info();
      return consumer.takeArrived(max);
    } finally {
      consumer.close();
    }
  }

  /** Waits for the declaration, if there is one under way. */
  declared(): Promise<unknown> | undefined {
    const declared = this.#declaration();
    return declared?.done ? undefined : declared?.promise;
  }

  /** Asks once the queue is declared, in the order of the calls. */
  #ask<T>(
    verb: string,
    wait: CheckedWait,
    encoded: Encoded,
    begin: Parameters<Context["ask"]>[3],
    read: (event: never) => T,
    kept?: (reached: Promise<void>) => T,
    reads = false,
  ): Promise<T> {
    const declared = this.declared();
    // What is written down on this device waits for nobody. The declaration follows it then, which
    // makes no difference: a queue that a send made is declared by whoever comes first. Nor does a
    // question wait that changes nothing, or what is sent after it would.
    const waits = !(kept || reads) || this.#context.engine.events.status.get() === "ready";
    const ready = (waits ? declared?.then(() => encoded) : undefined) ?? encoded;
    const how = [this.#patience(verb, wait), "request", ready, begin, read, { kept }] as const;
    return this.#context.ask(...how).promise;
  }

  /**
   * The declaration under way or done. One serves all references that say the same, until the node
   * is lost. A reference without options declares nothing: the node makes what is not there.
   */
  #declaration(): Declared | undefined {
    if (!Object.keys(this.#options).length) return undefined;
    const { declared } = this.#context.engine;
    const key = JSON.stringify([this.name, this.#wire]);
    const known = declared.get(key);
    if (known) return known;
    const entry = { promise: this.#redeclare("declare", {}), done: false };
    declared.set(key, entry);
    const settled = (done: boolean) => {
      entry.done = done;
      if (!done && declared.get(key) === entry) declared.delete(key);
    };
    entry.promise.then(
      () => settled(true),
      () => settled(false),
    );
    return entry;
  }

  #redeclare(verb: string, wait: CheckedWait): Promise<QueueInfo> {
    const begin = (raw: RawBus) => raw.declare(this.name, this.#wire);
    const wanted = this.#patience(verb, wait);
    return this.#context.ask(wanted, "request", NOTHING, begin, this.#read).promise;
  }

  /** For a verb that asks more than once: what is left of its wait at that moment. */
  #rest({ signal, timeout }: CheckedWait): () => CheckedWait {
    const began = performance.now();
    const whole_ms = timeout ?? this.#context.engine.limits.verb_timeout_ms;
    return () => {
      const left_ms = Math.max(0, whole_ms - (performance.now() - began));
      return signal ? { signal, timeout: left_ms } : { timeout: left_ms };
    };
  }

  readonly #read = ([, , counts, policy]: StateEvent): QueueInfo => {
    const home = homeOf(this.#context.engine);
    return { ...readCounts(counts), policy: policy ?? undefined, home };
  };

  #patience(verb: string, wait: CheckedWait) {
    return patience(
      `queue "${this.name}": ${verb}`,
      wait,
      this.#context.engine.limits.verb_timeout_ms,
    );
  }
}

const count = ([, , counted]: RawEventOf<"counted">) => counted;
