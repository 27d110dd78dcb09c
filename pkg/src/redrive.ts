import { encodeNow } from "./codec/encode.js";
import { REASONS } from "./deaths.js";
import { invalid } from "./errors.js";
import type { CheckedMove, CheckedRedrive } from "./options.js";

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
  const from = isDeadLetters ? where : { ...where, queue };
  return encodePick({ where: from, rate, max, into, queue: isDeadLetters ? queue : null });
}

/** What is done to messages that are picked by hand. */
export const TASK = { move: 0, discard: 1, cancel: 2 } as const;

/** Which messages are meant, and what is done to them; without a task dead letters go back. */
interface Picked {
  readonly queue: string | null;
  readonly into?: string | undefined;
  readonly where?: CheckedMove["where"];
  readonly rate?: number | undefined;
  readonly max?: number | undefined;
  readonly task?: (typeof TASK)[keyof typeof TASK];
}

export function encodePick({ queue, into, where = {}, rate, max, task }: Picked): Uint8Array {
  const filter = [
    where.reason ? REASONS.indexOf(where.reason) + 1 : null,
    where.queue ?? null,
    where.numbers ?? null,
    where.ids ?? null,
    where.headers ? encodeNow(where.headers) : null,
  ];
  return encodeNow([
    queue,
    into ?? null,
    filter,
    rate === undefined ? null : Math.max(1, Math.round(1e6 / rate)),
    max ?? null,
    task ?? null,
  ]);
}
