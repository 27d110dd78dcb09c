import { encodeNow } from "./codec/encode.js";
import type { Context } from "./context.js";
import { NOTHING } from "./engine.js";
import type { Patience } from "./pending.js";
import type { RawBus, RawEventOf, RawQueueMessage } from "./raw.js";

/** Messages a browser asks for at a time. */
const PAGE = 100;

/** What is looked at. */
export interface Look {
  readonly delayed: boolean;
  readonly leased: boolean;
  readonly headersOnly: boolean;
}

/** What `listed` gives: the entries of a page, and whether there may be more. */
export const listed = ([, , found, more]: RawEventOf<"listed">) => [found, more] as const;

/** The messages of a queue page by page, as they travel. Each page waits as `wait` says then. */
export async function* pages(
  context: Context,
  queue: string,
  { delayed, leased, headersOnly }: Look,
  wait: () => Patience,
  limit = Infinity,
): AsyncGenerator<readonly RawQueueMessage[]> {
  const flags = [delayed, leased, headersOnly];
  for (let after = 0, left = limit, more = true; more && left > 0; ) {
    const page = encodeNow([after, Math.min(left, PAGE), ...flags]);
    const begin = (raw: RawBus) => raw.browse(queue, page);
    const asked = context.ask(wait(), "request", NOTHING, begin, listed);
    const [found, others] = await asked.promise;
    const messages = found as readonly RawQueueMessage[];
    if (messages.length) yield messages;
    after = messages.at(-1)?.[0] ?? after;
    left -= messages.length;
    more = others;
  }
}
