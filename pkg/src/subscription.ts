import type { Context } from "./context.js";
import { ADVISORIES, SYSTEM } from "./advisories.js";
import { Conflation, type Slot } from "./conflation.js";
import { TabmqError } from "./errors.js";
import { Inbox } from "./inbox.js";
import { LiveHandle } from "./live.js";
import { hex, messageKeyOf, message } from "./message.js";
import type { checkSubscribe } from "./options.js";
import { EVENT, type HandleEvent, type RawBus, type RawEventOf } from "./raw.js";
import type { Gap, Subscription, SubscriptionStats, TopicMessage } from "./types.js";

type Options = ReturnType<typeof checkSubscribe>;
type Changeable = { -readonly [K in keyof TopicMessage<unknown>]: TopicMessage<unknown>[K] };
type Whole = Changeable & { conflated?: number };
type Entry = TopicMessage<unknown> | Gap;
type Raw = RawEventOf<"live">;
type Handler = (message: never) => unknown;

const BUFFER_MAX = 1000;

export class LiveSubscription extends LiveHandle implements Subscription<TopicMessage<unknown>> {
  readonly kind = 1;
  readonly filter: string;
  readonly running = 0;
  readonly #options: Options;
  readonly #handler: Handler | undefined;
  readonly #inbox = new Inbox<Entry>();
  /** Not decoded yet: most of it never will be. */
  readonly #conflation: Conflation<Raw | Gap> | undefined;
  /** Of keys that were too many: told before what waits. */
  readonly #gaps: Gap[] = [];
  readonly #bound: number;
  #pumping = false;
  #delivered = 0;
  #dropped = 0;

  constructor(context: Context, filter: string, options: Options, handler: Handler | undefined) {
    super(context, `subscription "${filter}"`, options.signal);
    this.filter = filter;
    this.#options = options;
    this.#handler = handler;
    this.#bound = options.buffer ?? BUFFER_MAX;
    if (options.conflate) {
      const { every = "frame" } = options.conflate;
      this.#conflation = new Conflation(every, () => this.#takeDue());
    }
    context.engine.events.open(this);
  }

  get stats(): SubscriptionStats {
    const { values } = this.#inbox;
    return {
      delivered: this.#delivered,
      waiting: this.#conflation?.size ?? values.filter((entry) => "body" in entry).length,
      conflated: this.#conflation?.conflated ?? 0,
      dropped: this.#dropped,
    };
  }

  begin(raw: RawBus): number {
    return raw.subscribe(this.filter, this.#options.group);
  }

  end(raw: RawBus, number: number): void {
    raw.unsubscribe(number);
  }

  take(event: HandleEvent): void {
    switch (event[0]) {
      case EVENT.subscribed:
        return this.setReady();
      case EVENT.gap:
        return this.#takeGap(event);
      case EVENT.live:
        if (this.#conflation) return this.#conflate(this.#conflation, event);
        return this.#takeMessage(event);
    }
  }

  protected stopped(): void {
    this.#inbox.close();
    this.#conflation?.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TopicMessage<unknown>> {
    try {
      for (;;) {
        const { value, done } = await this.#next();
        if (done) break;
        if (!value) continue;
        if (!("body" in value)) this.#tellGap(value);
        else if (await this.#pass(value)) {
          this.#delivered += 1;
          yield value;
        }
      }
    } finally {
      this.close();
    }
  }

  async #next(): Promise<IteratorResult<Entry | undefined, undefined>> {
    if (!this.#conflation) return this.#inbox.next();
    const { value, done } = await this.#conflation.next();
    for (const gap of this.#gaps.splice(0)) this.#tellGap(gap);
    return done ? { value: undefined, done } : { value: this.#entry(value), done: false };
  }

  /** What waited, decoded; nothing if it can't be. */
  #entry({ value, conflated }: Slot<Raw | Gap>): Entry | undefined {
    return "reason" in value ? value : this.#decode(value, { conflated });
  }

  #conflate(conflation: Conflation<Raw | Gap>, event: Raw): void {
    const [, , , , topic, , properties] = event;
    let key: string | undefined;
    try {
      if (this.#options.conflate?.by !== "topic") key = messageKeyOf(properties);
    } catch (error) {
      return this.context.report(error);
    }
    const name = JSON.stringify([topic, key]);
    if (!conflation.has(name)) this.#makeRoom(conflation);
    conflation.put(name, event);
  }

  /** A handler takes what is there before its time. An iteration misses the oldest. */
  #makeRoom(conflation: Conflation<Raw | Gap>): void {
    if (conflation.size >= this.#bound && this.#handler) conflation.ripen();
    while (conflation.size >= this.#bound) {
      const { value } = conflation.takeEarly() as Slot<Raw | Gap>;
      if ("reason" in value) this.#drop(value);
      else {
        const [, , client, number] = value;
        this.#dropped += 1;
        this.#drop({ publisher: hex(client), first: number, last: number, reason: "buffer" });
      }
    }
  }

  /** As what is dropped comes before all that waits, one gap of each publisher says it. */
  #drop(gap: Gap): void {
    const at = this.#gaps.map(({ publisher }) => publisher).lastIndexOf(gap.publisher);
    const before = this.#gaps[at];
    if (!before) return void this.#gaps.push(gap);
    const reason = before.reason === gap.reason ? gap.reason : "buffer";
    this.#gaps[at] = { ...gap, first: before.first, reason };
  }

  #takeDue(): void {
    const { interceptors } = this.context;
    if (!this.#handler || this.#pumping) return;
    if (interceptors.hear) return void this.#pump(this.#handler);
    for (let entry = this.#shift(); entry !== null; entry = this.#shift())
      this.#give(this.#handler, entry);
  }

  /** The next that waits for a pump; `undefined` for one that can't be decoded, null at the end. */
  #shift(): Entry | undefined | null {
    if (!this.#conflation) return this.#inbox.values.shift() ?? null;
    for (const gap of this.#gaps.splice(0)) this.#tellGap(gap);
    const slot = this.#conflation.take();
    return slot ? this.#entry(slot) : null;
  }

  #give(handler: Handler, entry: Entry | undefined): void {
    if (!entry) return;
    if (!("body" in entry)) return this.#tellGap(entry);
    this.#delivered += 1;
    this.#call(handler, entry as never);
  }

  #decode(event: Raw, more?: { conflated: number }): TopicMessage<unknown> | undefined {
    const [, , client, number, topic, body, properties] = event;
    const publisher = hex(client),
      system = topic.startsWith(SYSTEM);
    try {
      const live = message<unknown>(
        system ? ADVISORIES : this.context.codec,
        topic,
        `${publisher}-${number}`,
        body,
        properties,
        system ? undefined : publisher,
      );
      // In place and field by field: anything else would take longer than all the rest.
      const whole = live as Whole;
      whole.publisher = publisher;
      whole.number = number;
      if (more) whole.conflated = more.conflated;
      return whole;
    } catch (error) {
      this.context.report(error);
      return undefined;
    }
  }

  #takeMessage(event: Raw): void {
    const live = this.#decode(event);
    if (!live) return;
    const later = this.#pumping || this.context.interceptors.hear;
    if (this.#handler && !later) return this.#give(this.#handler, live);
    const { values } = this.#inbox;
    if (values.length >= this.#bound) this.#dropOldest(values);
    this.#inbox.push(live);
    if (this.#handler && !this.#pumping) void this.#pump(this.#handler);
  }

  /** Interceptors may take time: what comes meanwhile waits, as in an iteration. */
  async #pump(handler: Handler): Promise<void> {
    this.#pumping = true;
    for (let entry = this.#shift(); entry !== null; entry = this.#shift()) {
      const passes = !entry || !("body" in entry) || (await this.#pass(entry));
      if (passes && !this.closed.aborted) this.#give(handler, entry);
    }
    this.#pumping = false;
  }

  /** Whether the interceptors let it through; they may change it. */
  async #pass(live: Changeable): Promise<boolean> {
    const { interceptors } = this.context;
    if (!interceptors.hear) return true;
    const { topic, id, sender, body, headers } = live;
    const letter = { kind: "message" as const, topic, id, sender, body, headers };
    try {
      await interceptors.incoming(letter);
    } catch (error) {
      this.context.report(error);
      return false;
    }
    live.body = letter.body;
    live.headers = letter.headers;
    return true;
  }

  /** The oldest message becomes a gap, in its place; a gap that is there already grows. */
  #dropOldest(values: Entry[]): void {
    this.#dropped += 1;
    const at = values.findIndex((entry) => "body" in entry);
    const { publisher, number } = values[at] as TopicMessage<unknown>;
    const before = values[at - 1] as Gap | undefined;
    const grows =
      before?.reason === "buffer" && before.publisher === publisher && before.last + 1 === number;
    const gap: Gap = {
      publisher,
      first: grows ? before.first : number,
      last: number,
      reason: "buffer",
    };
    values.splice(grows ? at - 1 : at, grows ? 2 : 1, gap);
  }

  #takeGap([, , client, first, last]: RawEventOf<"gap">): void {
    const gap: Gap = { publisher: hex(client), first, last, reason: "lost" };
    if (this.#conflation) {
      this.#makeRoom(this.#conflation);
      // A key of its own: nothing takes its place.
      return this.#conflation.put(gap, gap);
    }
    if (this.#handler && !this.#pumping) this.#tellGap(gap);
    else this.#inbox.push(gap);
  }

  #tellGap(gap: Gap): void {
    const { onGap } = this.#options;
    if (onGap) return this.#call(onGap, gap as never);
    this.context.report(
      new TabmqError("DISCARDED", `subscription "${this.filter}": messages are lost`, {
        data: { ...gap },
      }),
    );
  }

  /** With no promise for a handler that gives none: it runs once for each live message. */
  #call(handler: Handler, value: never): void {
    let result: unknown;
    try {
      result = handler(value);
    } catch (error) {
      result = Promise.reject(error);
    }
    if (typeof result !== "object" || result === null) return;
    Promise.resolve(result).catch((error: unknown) => this.context.report(error));
  }
}
