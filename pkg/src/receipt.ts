import type { Context } from "./context.js";
import { LEVELS } from "./declaration.js";
import { NOTHING } from "./engine.js";
import { invalid } from "./errors.js";
import { keepingOf, whereOf } from "./keeping.js";
import { decodeBody } from "./message.js";
import { checkProcessed, type CheckedWait, checkWait, patience } from "./options.js";
import { attempt, Pending } from "./pending.js";
import type { RawEventOf } from "./raw.js";
import type { Durability, Host, Receipt, Tracking, Wait } from "./types.js";

/** What becomes of one message. No promise is made until somebody asks. */
export class TrackedMessage implements Tracking {
  readonly id: string;
  readonly #context: Context;
  readonly #queue: string;
  readonly #tracked: boolean;
  /** Until then nobody but this device knows of it. */
  readonly #reached: Promise<void> | undefined;

  constructor(
    context: Context,
    queue: string,
    id: string,
    tracked: boolean,
    reached?: Promise<void>,
  ) {
    this.#reached = reached;
    this.id = id;
    this.#context = context;
    this.#queue = queue;
    this.#tracked = tracked;
  }

  delivered(options?: Wait): Promise<void> {
    return attempt(() =>
      this.#ask("delivered", false, checkWait("delivered", options), () => undefined),
    );
  }

  processed(options?: Wait & { onProgress?: (value: unknown) => unknown }): Promise<unknown> {
    return attempt(() => {
      const { onProgress, ...wait } = checkProcessed(options);
      const { codec } = this.#context;
      const read = ([, , value]: RawEventOf<"tracked">) =>
        value ? decodeBody(codec, value) : undefined;
      const tell = (value: Uint8Array) => {
        try {
          onProgress?.(decodeBody(codec, value));
        } catch (error) {
          this.#context.report(error);
        }
      };
      return this.#ask("processed", true, wait, read, onProgress ? tell : undefined);
    });
  }

  async #ask<T>(
    verb: string,
    processed: boolean,
    wait: CheckedWait,
    read: (event: RawEventOf<"tracked">) => T,
    progress?: (value: Uint8Array) => void,
  ): Promise<T> {
    if (!this.#tracked)
      throw invalid(`receipt.${verb}: the message was sent without "track"`, "track");
    const { verb_timeout_ms } = this.#context.engine.limits;
    let waits = patience(`queue "${this.#queue}": ${verb}`, wait, verb_timeout_ms);
    if (this.#reached) {
      const pending = new Pending<void>(waits, () => false);
      this.#reached.then(
        () => pending.resolve(),
        (error) => pending.reject(error),
      );
      await pending.promise;
      waits = { ...waits, timeout_ms: pending.left_ms };
    }
    return this.#context.ask(
      waits,
      "request",
      NOTHING,
      (raw) => raw.track(this.#queue, this.id, processed),
      read,
      { progress },
    ).promise;
  }
}

/** The receipt of a send. */
export class SendReceipt extends TrackedMessage implements Receipt {
  readonly duplicateOf: number | undefined;
  readonly stored: Receipt["stored"];

  constructor(
    context: Context,
    queue: string,
    id: string,
    tracked: boolean,
    stored: Receipt["stored"],
    duplicateOf: number | undefined,
    reached?: Promise<void>,
  ) {
    super(context, queue, id, tracked, reached);
    this.duplicateOf = duplicateOf;
    this.stored = stored;
  }

  get duplicate(): boolean {
    return this.duplicateOf !== undefined;
  }
}

/** Makes the receipts of one reference to a queue. */
export class Receipts {
  readonly #context: Context;
  readonly #queue: string;
  /** What the queue is declared with. */
  readonly #declared: Durability | undefined;
  /** One for many receipts: what a host says seldom changes. */
  #last: { host: Host; wanted: Durability; stored: Receipt["stored"] } | undefined;

  constructor(context: Context, queue: string, declared: Durability | undefined) {
    this.#context = context;
    this.#queue = queue;
    this.#declared = declared;
  }

  /** Of the event that answers a send, for its item at `index`; `own` is the id of the sender. */
  make(
    asked: Durability | undefined,
    [, , lane, sequence, duplicates]: RawEventOf<"sent">,
    index: number,
    own: string | undefined,
    track: boolean,
  ): Receipt {
    const id = own ?? `${lane}-${sequence}-${index}`;
    const stored = this.#storedAs(asked);
    const repeats = duplicates.find(([repeated]) => repeated === index);
    return new SendReceipt(this.#context, this.#queue, id, track, stored, repeats?.[1]);
  }

  #storedAs(asked: Durability | undefined): Receipt["stored"] {
    const { events, options } = this.#context.engine,
      host = events.host.get();
    const wanted = asked ?? this.#declared ?? options.durability ?? "relaxed";
    if (this.#last?.host === host && this.#last.wanted === wanted) return this.#last.stored;
    const level = Math.min(LEVELS.indexOf(wanted), LEVELS.indexOf(host.durability));
    const durability = LEVELS[level] as Durability;
    const stored = Object.freeze({ at: whereOf(host), ...keepingOf(host), durability } as const);
    this.#last = { host, wanted, stored };
    return stored;
  }
}
