import type { Context } from "./context.js";
import { LeasedDelivery } from "./delivery.js";
import { Inbox } from "./inbox.js";
import { LiveHandle } from "./live.js";
import type { checkConsume } from "./options.js";
import { EVENT, type HandleEvent, type RawBus, SETTLE } from "./raw.js";
import type { Consumer, Delivery } from "./types.js";

type Options = ReturnType<typeof checkConsume>;
export type Handler = (job: Delivery<never>) => unknown;

const PREFETCH_BYTES = 16 << 20;

export class LiveConsumer extends LiveHandle implements Consumer, AsyncIterable<Delivery<unknown>> {
  readonly kind = 2;
  readonly queue: string;
  readonly #options: Options;
  readonly #handler: Handler | undefined;
  readonly #inbox = new Inbox<LeasedDelivery>();
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

  begin(raw: RawBus): number {
    const {
      concurrency = 1,
      prefetch = concurrency,
      prefetchBytes = PREFETCH_BYTES,
    } = this.#options;
    return raw.consume(this.queue, prefetch, prefetchBytes);
  }

  end(raw: RawBus, number: number): void {
    raw.cancelConsumer(number);
  }

  take(event: HandleEvent): void {
    if (event[0] === EVENT.consuming) return this.setReady();
    if (event[0] !== EVENT.delivery) return;
    let delivery: LeasedDelivery;
    try {
      delivery = new LeasedDelivery(this.context, this.queue, event);
    } catch (error) {
      // Nobody can read it, so another attempt would not help.
      this.context.report(error);
      const reason = "the body can't be decoded";
      this.context.engine.tell(
        (raw) => void raw.settle(event[2], SETTLE.reject, undefined, reason),
      );
      return;
    }
    this.#inbox.push(delivery);
    this.onArrival?.();
    if (!this.#handler) return;
    delivery.renew();
    this.#pump(this.#handler);
  }

  takeArrived(max: number): LeasedDelivery[] {
    return this.#inbox.values.splice(0, max);
  }

  protected stopped(): void {
    for (const delivery of this.#inbox.values.splice(0)) void delivery.release();
    this.#inbox.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Delivery<unknown>> {
    try {
      for (;;) {
        const { value, done } = await this.#inbox.next();
        if (done) break;
        if (!value.over) yield value;
      }
    } finally {
      this.close();
    }
  }

  #pump(handler: Handler): void {
    const { values } = this.#inbox;
    while (values.length && this.#running < (this.#options.concurrency ?? 1)) {
      const delivery = values.shift() as LeasedDelivery;
      if (delivery.over) continue;
      this.#running += 1;
      void this.#handle(handler, delivery);
    }
  }

  async #handle(handler: Handler, delivery: LeasedDelivery): Promise<void> {
    await delivery.finish((async () => handler(delivery as LeasedDelivery & Delivery<never>))());
    this.#running -= 1;
    this.handlerDone();
    this.#pump(handler);
  }
}
