import { asyncDispose, dispose } from "./dispose.js";
import type { Context } from "./context.js";
import { closed, type TabmqError } from "./errors.js";
import { checkStop, checkWait, patience } from "./options.js";
import { attempt, Pending } from "./pending.js";
import type { HandleEvent, HandleKind, RawBus } from "./raw.js";
import type { Live, Wait } from "./types.js";

/** What subscriptions, consumers, services and leaderships have in common. */
export abstract class LiveHandle implements Live {
  /** What the wasm side calls it; absent until it is open there. */
  number: number | undefined;
  /** A verb that waits for it tells the refusal itself. */
  quiet = false;
  abstract readonly kind: HandleKind;
  protected readonly context: Context;
  readonly #what: string;
  readonly #controller = new AbortController();
  #ready = false;
  readonly #waiting = new Set<Pending<void>>();
  readonly #draining = new Set<Pending<void>>();
  readonly #release: () => void;

  constructor(context: Context, what: string, signal: AbortSignal | undefined) {
    context.check();
    this.context = context;
    this.#what = what;
    const close = () => this.close();
    this.#release = () => signal?.removeEventListener("abort", close);
    signal?.addEventListener("abort", close);
    context.lives.add(this);
    if (signal?.aborted) queueMicrotask(close);
  }

  /** Begins it on the wasm side and returns its number there. */
  abstract begin(raw: RawBus): number;
  /** Ends it there. */
  abstract end(raw: RawBus, number: number): void;
  abstract take(event: HandleEvent): void;
  /** Handlers that run. */
  abstract get running(): number;
  /** The wasm side failed; what came from it is void. It may begin anew. */
  interrupt(_error: TabmqError): void {}
  /** Nothing new is taken from now on. */
  protected abstract stopped(error: TabmqError): void;

  get closed(): AbortSignal {
    return this.#controller.signal;
  }

  ready(options?: Wait): Promise<void> {
    return attempt(() => {
      const wait = patience(
        `${this.#what}.ready`,
        checkWait("ready", options),
        this.context.engine.limits.verb_timeout_ms,
      );
      const pending = new Pending<void>(wait, () => false);
      if (this.closed.aborted) pending.reject(this.closed.reason);
      else if (this.#ready) pending.resolve();
      else this.#await(this.#waiting, pending);
      return pending.promise;
    });
  }

  close(): void {
    this.over(closed(this.#what));
  }

  stop(options?: { drain?: boolean; timeout?: never }): Promise<void> {
    return attempt(() => {
      const { drain, timeout } = checkStop("stop", options);
      const { verb_timeout_ms } = this.context.engine.limits;
      const pending = new Pending<void>(
        patience(`${this.#what}.stop`, { timeout: timeout ?? verb_timeout_ms }, 0),
        () => false,
      );
      this.close();
      if (!drain || !this.running) pending.resolve();
      else this.#await(this.#draining, pending);
      return pending.promise;
    });
  }

  [dispose](): void {
    this.close();
  }

  [asyncDispose](): Promise<void> {
    return this.stop({ drain: true });
  }

  /** Refused by the node, or broken. */
  fail(error: TabmqError): void {
    if (this.closed.aborted) return;
    if (!this.quiet) this.context.report(error);
    this.over(error);
  }

  over(error: TabmqError): void {
    if (this.closed.aborted) return;
    this.#release();
    this.context.lives.delete(this);
    this.context.engine.events.shut(this);
    this.#controller.abort(error);
    for (const pending of this.#waiting) pending.reject(error);
    this.stopped(error);
  }

  protected setReady(): void {
    this.#ready = true;
    for (const pending of this.#waiting) pending.resolve();
  }

  /** To be called whenever a handler is done. */
  protected handlerDone(): void {
    if (this.running) return;
    for (const pending of this.#draining) pending.resolve();
  }

  #await(set: Set<Pending<void>>, pending: Pending<void>): void {
    set.add(pending);
    const forget = () => void set.delete(pending);
    pending.promise.then(forget, forget);
  }
}
