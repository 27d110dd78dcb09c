import { decode } from "./codec/decode.js";
import type { Death, DeathReason } from "./types.js";

/** In the order of their numbers, from 1. */
export const REASONS: readonly DeathReason[] = [
  "rejected",
  "deliveries-max",
  "lease-lost",
  "overflow",
  "expired",
];

type Fields = [
  queue: string,
  reason: number,
  count: number,
  attempts: number,
  firstAtUnixMs: number,
  lastAtUnixMs: number,
  note?: string | null,
];

/** The deaths of a message as they travel; none if it never died. */
export function readDeaths(history: Uint8Array | null | undefined): Death[] {
  if (!history) return [];
  const [, deaths] = decode(history) as [recent: number, deaths: Fields[]];
  return deaths.map(([queue, reason, count, attempts, firstAt, lastAt, note]) => ({
    queue,
    reason: REASONS[reason - 1] as DeathReason,
    count,
    attempts,
    firstAt: new Date(firstAt),
    lastAt: new Date(lastAt),
    note: note ?? undefined,
  }));
}
