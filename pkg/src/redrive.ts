import { encodeNow } from "./codec/encode.js";
import { REASONS } from "./deaths.js";
import { invalid } from "./errors.js";
import type { CheckedRedrive } from "./options.js";

/**
 * A redrive as it crosses the border. Of a dead-letter queue all dead letters are meant, each goes
 * back to where it came from; of another queue its own, wherever it has them.
 */
export function encodeRedrive(
  queue: string,
  isDeadLetters: boolean,
  { where = {}, rate, max, into }: CheckedRedrive,
): Uint8Array {
  if (where.queue !== undefined && !isDeadLetters)
    throw invalid("redrive: \"where.queue\" is for dead letters of many queues", "queue");
  const filter = [
    where.reason ? REASONS.indexOf(where.reason) + 1 : null,
    isDeadLetters ? (where.queue ?? null) : queue,
    null,
    where.ids ?? null,
    where.headers ? encodeNow(where.headers) : null,
  ];
  return encodeNow([
    isDeadLetters ? queue : null,
    into ?? null,
    filter,
    rate === undefined ? null : Math.max(1, Math.round(1e6 / rate)),
    max ?? null,
  ]);
}
