// The account of a run: its progress in place for somebody who watches, and the result.
import { JUDGED } from "./checker.mjs";

const LINES_EVERY_EVENTS = 50;

export class Report {
  #started_ms = performance.now();
  #total;

  constructor({ events }) {
    this.#total = events;
  }

  seconds() {
    return Math.round((performance.now() - this.#started_ms) / 100) / 10;
  }

  say(line) {
    if (process.stdout.isTTY) process.stdout.write("\r\u001b[K");
    console.log(`${this.seconds().toFixed(1).padStart(7)} s  ${line}`);
  }

  progress({ done, recoveries, history }) {
    const events = Object.values(done).reduce((sum, count) => sum + count, 0);
    const { confirmed, effect, duplicate } = history.counts;
    const slowest = Math.round(Math.max(0, ...recoveries));
    const line =
      `${events}/${this.#total} events, ${confirmed} confirmed, ${effect} effects, ` +
      `${duplicate} suppressed, slowest recovery ${slowest} ms`;
    if (process.stdout.isTTY) process.stdout.write(`\r\u001b[K${line}`);
    else if (events % LINES_EVERY_EVENTS === 0) this.say(line);
  }
}

function percentile(sorted, share) {
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
}

/** How many epochs each kind of host had. */
function hostsByKind(records) {
  const kinds = new Map();
  for (const { kind, values } of records) if (kind === "host") kinds.set(values[0], values[1]);
  const counts = {};
  for (const kind of kinds.values()) counts[kind] = (counts[kind] ?? 0) + 1;
  return { epochs: kinds.size, hosts: counts };
}

/** What was run, what came of it and what is broken, as numbers. */
export function summarize({ browser, seed, chaos, effects, findings, seconds }) {
  const { records, counts } = chaos.history;
  const distinct = (kind) =>
    new Set(records.filter((record) => record.kind === kind).map(({ values }) => values[0])).size;
  const sorted = chaos.recoveries.toSorted((a, b) => a - b);
  return {
    browser,
    seed,
    events: chaos.done,
    messages: distinct("sent"),
    confirmed: distinct("confirmed"),
    processed: new Set(effects.map(([, id]) => id)).size,
    effects: effects.length,
    suppressed: counts.duplicate,
    ...Object.fromEntries(JUDGED.map((name) => [name, findings[name].length])),
    ...hostsByKind(records),
    recovery_ms: {
      p50: percentile(sorted, 0.5),
      p99: percentile(sorted, 0.99),
      max: percentile(sorted, 1),
    },
    seconds,
  };
}
