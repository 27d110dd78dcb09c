import type { Context } from "./context.js";
import { ADVISORIES, SYSTEM } from "./advisories.js";
import { TabmqError } from "./errors.js";
import { Inbox } from "./inbox.js";
import { LiveHandle } from "./live.js";
import { hex, message } from "./message.js";
import type { checkSubscribe } from "./options.js";
import { EVENT, type HandleEvent, type RawBus, type RawEventOf } from "./raw.js";
import type { Gap, Subscription, TopicMessage } from "./types.js";

type Options = ReturnType<typeof checkSubscribe>;
type Changeable = { -readonly [K in keyof TopicMessage<unknown>]: TopicMessage<unknown>[K] };
type Entry = TopicMessage<unknown> | Gap;
type Handler = (message: never) => unknown;

const BUFFER_MAX = 1000;

export class LiveSubscription extends LiveHandle implements Subscription<TopicMessage<unknown>> {
  readonly kind = 1;
  readonly filter: string;
  readonly running = 0;
  readonly #options: Options;
  readonly #handler: Handler | undefined;
  readonly #inbox = new Inbox<Entry>();
  #pumping = false;

  constructor(context: Context, filter: string, options: Options, handler: Handler | undefined) {
    super(context, `subscription "${filter}"`, options.signal);
    this.filter = filter;
    this.#options = options;
    this.#handler = handler;
    context.engine.events.open(this);
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
        return this.#takeMessage(event);
    }
  }

  protected stopped(): void {
    this.#inbox.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TopicMessage<unknown>> {
    try {
      for (;;) {
        const { value, done } = await this.#inbox.next();
        if (done) break;
        if (!("body" in value)) this.#tellGap(value);
        else if (await this.#pass(value)) yield value;
      }
    } finally {
      this.close();
    }
  }

  #takeMessage([, , client, number, topic, body, properties]: RawEventOf<"live">): void {
    const publisher = hex(client),
      system = topic.startsWith(SYSTEM);
    let live: TopicMessage<unknown>;
    try {
      const parts = message<unknown>(
        system ? ADVISORIES : this.context.codec,
        topic,
        `${publisher}-${number}`,
        body,
        properties,
        system ? undefined : publisher,
      );
      live = { ...parts, publisher, number };
    } catch (error) {
      return this.context.report(error);
    }
    const later = this.#pumping || this.context.interceptors.hear;
    if (this.#handler && !later) return this.#call(this.#handler, live as never);
    const { values } = this.#inbox;
    if (values.length >= (this.#options.buffer ?? BUFFER_MAX)) this.#dropOldest(values);
    this.#inbox.push(live);
    if (this.#handler && !this.#pumping) void this.#pump(this.#handler);
  }

  /** Interceptors may take time: what comes meanwhile waits, as in an iteration. */
  async #pump(handler: Handler): Promise<void> {
    this.#pumping = true;
    for (let entry = this.#inbox.values.shift(); entry; entry = this.#inbox.values.shift()) {
      if (!("body" in entry)) this.#tellGap(entry);
      else if ((await this.#pass(entry)) && !this.closed.aborted)
        this.#call(handler, entry as never);
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

  #call(handler: Handler, value: never): void {
    void (async () => handler(value))().catch((error: unknown) => this.context.report(error));
  }
}
