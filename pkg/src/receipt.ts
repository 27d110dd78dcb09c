import type { Context } from "./context.js";
import { NOTHING } from "./engine.js";
import { invalid } from "./errors.js";
import { decodeBody } from "./message.js";
import { checkProcessed, type CheckedWait, checkWait, patience } from "./options.js";
import { attempt } from "./pending.js";
import type { RawEventOf } from "./raw.js";
import type { Receipt, Tracking, Wait } from "./types.js";

/** What becomes of one message. No promise is made until somebody asks. */
export class TrackedMessage implements Tracking {
  readonly id: string;
  readonly #context: Context;
  readonly #queue: string;
  readonly #tracked: boolean;

  constructor(context: Context, queue: string, id: string, tracked: boolean) {
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

  #ask<T>(
    verb: string,
    processed: boolean,
    wait: CheckedWait,
    read: (event: RawEventOf<"tracked">) => T,
    progress?: (value: Uint8Array) => void,
  ): Promise<T> {
    if (!this.#tracked)
      throw invalid(`receipt.${verb}: the message was sent without "track"`, "track");
    const { verb_timeout_ms } = this.#context.engine.limits;
    return this.#context.ask(
      patience(`queue "${this.#queue}": ${verb}`, wait, verb_timeout_ms),
      "request",
      NOTHING,
      (raw) => raw.track(this.#queue, this.id, processed),
      read,
      progress,
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
  ) {
    super(context, queue, id, tracked);
    this.duplicateOf = duplicateOf;
    this.stored = stored;
  }

  get duplicate(): boolean {
    return this.duplicateOf !== undefined;
  }
}
