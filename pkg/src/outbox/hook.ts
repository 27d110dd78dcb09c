import { type Item, part } from "../batch.js";
import { encodeNow } from "../codec/encode.js";
import type { Context } from "../context.js";
import { invalid } from "../errors.js";
import { checkStaged } from "../options.js";
import type { OutboxEntry, StageOptions } from "../types.js";
import { deliver, type Legacy } from "./courier.js";
import { entryOf, type Kept, scopeOf, unnumbered } from "./entry.js";

/** Sends what is written down in a database of the application. */
export interface Courier {
  /** The bus that it is written down for. */
  readonly bus: string;
  /** The bus and the user, as far as the hub has told it by now. */
  readonly scope: string;
  readonly verb_timeout_ms: number;
  /** A message as it is written down. */
  encode(queue: string, body: unknown, options: StageOptions | undefined): Uint8Array;
  unnumbered(send: Uint8Array): Uint8Array;
  /** As in courier.ts. */
  deliver(client: Uint8Array, legacy: Legacy, signal: AbortSignal): Promise<boolean>;
  entry(id: string, kept: Kept): OutboxEntry;
  /** The event of that name. */
  returned(entry: OutboxEntry): void;
}

export function courierOf(context: Context): Courier {
  const { engine } = context;
  const { name, options, limits, events, outbox } = engine;
  return {
    bus: scopeOf(name, options.user, options.hub !== undefined),
    get scope() {
      return outbox.scope;
    },
    verb_timeout_ms: limits.verb_timeout_ms,
    encode: (queue, body, given) => {
      context.check();
      if (typeof queue !== "string" || !queue)
        throw invalid("send: the queue must be a name", "queue");
      const { item } = part(context, queue, body, checkStaged(given), "");
      if (item instanceof Promise)
        throw invalid("send: a transaction can't wait for this body to be encoded", "body");
      return keptSend(queue, item);
    },
    deliver: (client, legacy, signal) => deliver(engine, client, legacy, signal),
    unnumbered,
    entry: (id, kept) => entryOf(id, kept, false),
    returned: (entry) => events.emit("returned", entry),
  };
}

/** An encoded `KeptSend` without a number. */
function keptSend(queue: string, item: Item): Uint8Array {
  return encodeNow([null, 0, null, null, [1, queue, encodeNow([item])]]);
}
