import type { Context } from "./context.js";
import { LeasedDelivery } from "./delivery.js";
import { Inbox } from "./inbox.js";
import { LiveHandle } from "./live.js";
import type { checkConsume } from "./options.js";
import { encodeNow } from "./codec/encode.js";
import { EVENT, type HandleEvent, type RawBus, SETTLE } from "./raw.js";
import type { Consumer, Delivery } from "./types.js";
import { Source } from "./watch.js";

type Options = ReturnType<typeof checkConsume>;
export type Handler = (job: Delivery<never>) => unknown;

const PREFETCH_BYTES = 16 << 20;

export class LiveConsumer extends LiveHandle implements Consumer, AsyncIterable<Delivery<unknown>> {
  readonly kind = 2;
  readonly queue: string;
  readonly #options: Options;
  readonly #handler: Handler | undefined;
  readonly #inbox = new Inbox<LeasedDelivery>();
  /** What came and is not settled, in that order. */
  readonly #held = new Set<LeasedDelivery>();
  readonly #active = new Source(false);
  readonly active = this.#active.watch(() => {});
  /** The last delivery that interceptors look at. */
  #line: Promise<void> | undefined;
  #paused = false;
  /** What it held was taken from it, and it gets nothing until it says that it can take more. */
  #isDetached = false;
  #lost = false;
  #running = 0;
  /** Told of each delivery, when there is no handler. */
  onArrival: (() => void) | undefined;

  /** Opens once `declared` has settled well. */
  constructor(
    context: Context,
    queue: string,
    options: Options,
    handler: Handler | undefined,
    declared: Promise<unknown>,
  ) {
    super(context, `consumer of "${queue}"`, options.signal);
    this.queue = queue;
    this.#options = options;
    this.#handler = handler;
    declared.then(
      () => context.engine.events.open(this),
      (error: unknown) => this.fail(error as never),
    );
  }

  get running(): number {
    return this.#running;
  }

  get paused(): boolean {
    return this.#paused;
  }

  begin(raw: RawBus): number {
    return raw.consume(this.queue, this.#wire());
  }

  pause(): void {
    this.#pause(true);
  }

  resume(): void {
    if (!this.#paused && this.#isDetached) this.#change();
    this.#pause(false);
    if (this.#handler) this.#pump(this.#handler);
  }

  end(raw: RawBus, number: number): void {
    raw.cancelConsumer(number);
  }

  take(event: HandleEvent): void {
    if (event[0] === EVENT.consuming) {
      if (!event[2]) this.#active.set(true);
      return this.setReady();
    }
    if (event[0] === EVENT.consumerActive) return this.#setActive(event[2]);
    if (event[0] !== EVENT.delivery) return;
    let delivery: LeasedDelivery;
    try {
      delivery = new LeasedDelivery(this.context, this.queue, event, (of) => this.#earlier(of));
    } catch (error) {
      // Nobody can read it, so another attempt would not help.
      this.context.report(error);
      const reason = "the body can't be decoded";
      this.context.engine.tell(
        (raw) => void raw.settle(event[2], SETTLE.reject, undefined, reason),
      );
      return;
    }
    this.#held.add(delivery);
    delivery.onEnd = () => {
      this.#held.delete(delivery);
      // Its handler may still run.
      if (delivery.lost) this.#lost = true;
    };
    delivery.onLate = () => {
      if (this.#isDetached && !this.#handler) this.#change();
    };
    if (this.#options.ack !== "before") return this.#arrive(delivery);
    delivery.ackBefore().then(
      () => this.#arrive(delivery),
      // Somebody else has it by now.
      (error: unknown) => this.context.report(error),
    );
  }

  /** Shows it to the interceptors first, in the order in which they came. */
  #arrive(delivery: LeasedDelivery): void {
    const { interceptors } = this.context;
    if (!interceptors.hear && !this.#line) return this.#take(delivery);
    const before = this.#line;
    const seen = (async () => {
      await before;
      try {
        await delivery.pass(interceptors);
      } catch (error) {
        return delivery.finish(Promise.reject(error));
      }
      if (!delivery.isVoid) this.#take(delivery);
    })().finally(() => {
      if (this.#line === seen) this.#line = undefined;
    });
    this.#line = seen;
  }

  #take(delivery: LeasedDelivery): void {
    // It closed meanwhile.
    if (this.closed.aborted) return void delivery.release();
    this.#inbox.push(delivery);
    this.onArrival?.();
    if (!this.#handler) return;
    delivery.renew();
    this.#pump(this.#handler);
  }

  /** What came before a delivery and is not settled. */
  #earlier(delivery: LeasedDelivery): LeasedDelivery[] {
    const held = Array.from(this.#held);
    return held.slice(0, Math.max(0, held.indexOf(delivery)));
  }

  #pause(paused: boolean): void {
    if (paused === this.#paused) return;
    this.#paused = paused;
    this.#change();
  }

  /** Says what it asks for. The node serves it again, if it had been too slow. */
  #change(): void {
    const { number } = this;
    this.#isDetached = false;
    if (number === undefined) return;
    this.context.engine.tell((raw) => raw.changeConsumer(number, this.#wire()));
  }

  #setActive(active: boolean): void {
    // Who is not the single active one has lost nothing by it.
    this.#isDetached = !active && this.#lost;
    this.#lost = false;
    this.#active.set(active);
    this.#catchUp();
  }

  /** Nothing is left of what was taken from it. */
  #catchUp(): void {
    if (this.#isDetached && this.#handler && !this.#running) this.#change();
  }

  /** What it asks for, as it crosses the border. */
  #wire(): Uint8Array {
    const {
      concurrency = 1,
      prefetch = concurrency,
      prefetchBytes = PREFETCH_BYTES,
      priority = 0,
      headersOnly = false,
    } = this.#options;
    return encodeNow([prefetch, prefetchBytes, priority, headersOnly, this.#paused]);
  }

  takeArrived(max: number): LeasedDelivery[] {
    return this.#inbox.values.splice(0, max);
  }

  protected stopped(): void {
    this.#active.set(false);
    for (const delivery of this.#inbox.values.splice(0)) void delivery.release();
    this.#inbox.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Delivery<unknown>> {
    try {
      for (;;) {
        // Whoever asks for the next is done with the one before.
        if (this.#isDetached) this.#change();
        const { value, done } = await this.#inbox.next();
        if (done) break;
        if (!value.isVoid) yield value;
      }
    } finally {
      this.close();
    }
  }

  #pump(handler: Handler): void {
    const { values } = this.#inbox;
    while (values.length && !this.#paused && this.#running < (this.#options.concurrency ?? 1)) {
      const delivery = values.shift() as LeasedDelivery;
      if (delivery.isVoid) continue;
      this.#running += 1;
      void this.#handle(handler, delivery);
    }
  }

  async #handle(handler: Handler, delivery: LeasedDelivery): Promise<void> {
    await delivery.finish((async () => handler(delivery as LeasedDelivery & Delivery<never>))());
    this.#running -= 1;
    this.handlerDone();
    this.#pump(handler);
    this.#catchUp();
  }
}
