import type { Engine } from "./engine.js";
import { borderError } from "./errors.js";
import type { Answer } from "./events.js";
import { type Patience, Pending } from "./pending.js";
import type { RawBus } from "./raw.js";

/** Gives a question to the wasm side and returns its number there. */
export type Begin = (
  raw: RawBus,
  bytes: Uint8Array,
  wait: { readonly left_ms: number },
) => number;

/** What may be told of a request before its answer. */
export interface Sooner<T> {
  /** How far it is. */
  progress?: ((value: Uint8Array) => void) | undefined;
  /** What the caller gets as soon as it is written down on this device. Nobody waits after that. */
  kept?: ((reached: Promise<void>) => T) | undefined;
}

/**
 * Something asked that has one answer: what waits for the wasm side, then for the answer. One
 * object and no functions of its own, for there is one for each message that is sent.
 */
export class Question<T> implements Answer {
  readonly pending: Pending<T>;
  readonly progress: ((value: Uint8Array) => void) | undefined;
  readonly #kept: ((reached: Promise<void>) => T) | undefined;
  /** What it is asked with: from when it is encoded until it is asked. */
  bytes: Uint8Array | undefined;
  readonly #engine: Engine;
  #begin: Begin | undefined;
  readonly #read: (event: never) => T;
  readonly #isCall: boolean;
  /** Under which the wasm side knows it, once it does. */
  #number: number | undefined;

  constructor(
    engine: Engine,
    patience: Patience,
    isCall: boolean,
    begin: Begin,
    read: (event: never) => T,
    { progress, kept }: Sooner<T>,
  ) {
    this.#engine = engine;
    this.#begin = begin;
    this.#isCall = isCall;
    this.#read = read;
    this.progress = progress;
    this.#kept = kept;
    this.pending = new Pending<T>(patience, () => this.#giveUp(), engine.why);
  }

  get verb(): string {
    return this.pending.patience.verb;
  }

  job(raw: RawBus): void {
    const { pending, bytes } = this,
      begin = this.#begin;
    if (pending.settled || !begin || !bytes) return;
    try {
      this.#number = begin(raw, bytes, pending);
    } catch (error) {
      throw borderError(error, pending.patience.verb);
    }
    // Whoever waits for the answer need not hold what was asked.
    this.bytes = this.#begin = undefined;
    this.#engine.events.answers(this.#isCall).set(this.#number, this);
  }

  take(event: never): void {
    this.pending.resolve(this.#read(event));
  }

  keep(reached: () => Promise<void>): boolean {
    if (!this.#kept) return false;
    this.pending.resolve(this.#kept(reached()));
    return true;
  }

  fail(error: unknown): void {
    this.pending.reject(error);
  }

  /** True if it may happen all the same. */
  #giveUp(): boolean {
    const number = this.#number,
      engine = this.#engine;
    if (number === undefined) return false;
    engine.events.answers(this.#isCall).delete(number);
    engine.tell((raw) => (this.#isCall ? raw.cancelCall(number) : raw.cancelRequest(number)));
    // It may have held what others wait for.
    engine.flushBacklog();
    return true;
  }
}
