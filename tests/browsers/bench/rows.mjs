// What is compared: each row is one method of both sides in tests/browsers/pages/bench.

const DURATION_MS = 300;
const LIVE_COUNT = 3_000;
/** They are confirmed together, so the next come together: a chunk has all of them. */
const DURABLE = { in_flight: 64, bytes: 100 };

/** Messages, sends or calls per second: more is better. */
function rate(name, method, parameters) {
  return { name, unit: "/s", method, parameters: { duration_ms: DURATION_MS, ...parameters } };
}

/** The middle of single round trips: less is better. */
function wait(name, method, parameters) {
  return { name, unit: "ms", method, parameters: { duration_ms: DURATION_MS, ...parameters } };
}

export const ROWS = [
  rate("live 100 B", "live", { count: LIVE_COUNT, bytes: 100 }),
  rate("live 1 KiB", "live", { count: LIVE_COUNT, bytes: 1024 }),
  wait("live round trip", "liveRoundTrip", { bytes: 100 }),
  rate("send, 1 in flight", "send", { in_flight: 1, bytes: 100 }),
  rate("send, 32 in flight", "send", { in_flight: 32, bytes: 100 }),
  rate("sendBatch of 100", "sendBatch", { items: 100, bytes: 100 }),
  rate("durable, relaxed", "durable", { ...DURABLE, durability: "relaxed" }),
  rate("durable, strict", "durable", { ...DURABLE, durability: "strict" }),
  rate("send to processed", "through", { in_flight: 32, bytes: 100 }),
  wait("call round trip", "callMedian", {}),
  rate("call, 1 in flight", "call", { in_flight: 1 }),
  rate("call, 32 in flight", "call", { in_flight: 32 }),
];

/** Above 1 we are better, whatever the unit. */
export function ratioOf({ unit }, ours, raw) {
  return unit === "ms" ? raw / ours : ours / raw;
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
