import type { QueueInfo } from "./types.js";

/** How the node tells a queue from others, and the newest message of its log, in its state. */
export const ID = 10,
  NEWEST = 11;
/** Left out if it is zero. */
const PREPARED = 12;

const COUNTS = [
  "ready",
  "delayed",
  "leased",
  "consumers",
  "sentTotal",
  "ackedTotal",
  "redeliveredTotal",
  "deadLetteredTotal",
  "discardedTotal",
  "paused",
] as const satisfies (keyof QueueInfo)[];

/** The state of a queue as it travels. */
export type Counts = readonly (number | boolean | null)[];

/** What anyone may know of it. Without counts all are zero. */
export function readCounts(counts: Counts): Omit<QueueInfo, "policy" | "home"> {
  const entries: [string, unknown][] = COUNTS.map((name, index) => [
    name,
    counts[index] ?? (name !== "paused" && 0),
  ]);
  entries.push(["prepared", counts[PREPARED] ?? 0]);
  return Object.fromEntries(entries) as Omit<QueueInfo, "policy" | "home">;
}
