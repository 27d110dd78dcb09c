import type { CheckedQueue } from "./options.js";
import type { Backoff, Durability, QueueOptions, SlowOptions } from "./types.js";

export const LEVELS: readonly Durability[] = ["memory", "relaxed", "strict"];
const OVERFLOWS = ["reject", "drop-oldest", "dead-letter"] as const;
const ORDERS = ["fifo", "key"] as const;
const FAILURES = ["block-key", "skip", "reorder"] as const;

/** The options of a queue as they cross the border. */
export function declaration(options: CheckedQueue): object {
  const { lease, maxDeliver, maxLength, maxBytes, autoDelete, keepResults, ...others } = options;
  const { dedupe, waitForConsumers, waitForConsumersMax, ttl, maxPerKey, ...same } = others;
  return {
    ...same,
    leaseMs: lease,
    deliveriesMax: maxDeliver,
    messagesMax: maxLength,
    bytesMax: maxBytes,
    consumersMin: waitForConsumers,
    consumersWaitMs: waitForConsumersMax,
    idleMsMax: autoDelete,
    resultKeepMs: keepResults,
    ttlMs: ttl,
    dedupeMs: dedupe,
    messagesPerKeyMax: maxPerKey,
  };
}

/** A variant without fields, as it travels. */
type Variant = readonly [tag: number];
type RawBackoff = readonly [
  first: number,
  factor: number,
  max: number,
  jitter: number,
  step?: number | null,
  waits?: readonly number[] | null,
];

/** How each option travels, in the order of docs/protocol.md, and how it is read. */
const same = (value: unknown) => value;
const READ = [
  ["durability", (level: number) => LEVELS[level]],
  ["lease", same],
  ["maxDeliver", same],
  ["backoff", readBackoff],
  ["deadLetter", ([tag, name]: [number, string?]) => (tag === 1 ? name : false)],
  ["maxLength", same],
  ["version", same],
  ["maxBytes", same],
  ["overflow", ([tag]: Variant) => OVERFLOWS[tag - 1]],
  ["singleActive", same],
  ["waitForConsumers", same],
  ["waitForConsumersMax", same],
  ["exclusive", same],
  ["autoDelete", same],
  ["keepResults", same],
  ["ttl", same],
  ["expired", same],
  ["dedupe", (window_ms: number) => window_ms || false],
  ["order", ([tag]: Variant) => ORDERS[tag - 1]],
  ["onFailure", ([tag]: Variant) => FAILURES[tag - 1]],
  ["priorities", same],
  ["lastValue", same],
  ["maxPerKey", same],
  ["rate", readRate],
  ["slow", ([after, detach]: [number, boolean]) => readSlow(after, detach)],
] as const satisfies (readonly [keyof QueueOptions, (value: never) => unknown])[];

/** The options of a queue as the node gives them. */
export function readOptions(options: readonly unknown[]): QueueOptions {
  const given = READ.flatMap(([name, read], index) => {
    const value = options[index] ?? undefined;
    return value === undefined ? [] : [[name, read(value as never)]];
  });
  return Object.fromEntries(given) as QueueOptions;
}

function readRate([limit, per, burst]: [limit: number, per: number, burst?: number | null]) {
  return burst ? { limit, per, burst } : { limit, per };
}

function readSlow(after: number, detach: boolean): SlowOptions {
  return { after, policy: detach ? "detach" : "notify" };
}

function readBackoff([first, factor, max, percent, step, waits]: RawBackoff): Backoff {
  const jitter = percent / 100;
  if (waits) return { kind: "ladder", waits, max, jitter };
  if (step !== null && step !== undefined) return { kind: "linear", first, step, max, jitter };
  if (factor === 100) return { kind: "fixed", first, max, jitter };
  return { kind: "exponential", first, factor: factor / 100, max, jitter };
}
