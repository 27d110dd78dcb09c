import process from "node:process";

import type { Bus, Host, Peer, QueueListing } from "../types.js";
import { COMMON, open, patience } from "./connection.js";
import { printJson, printLine } from "./print.js";
import { grouped } from "./progress.js";
import { onSignal } from "./signals.js";
import { parse } from "./words.js";

const INSPECT = { ...COMMON, watch: "flag" } as const;

const EVERY_MS = 1000;
const HOME_AND_CLEAR = "\x1b[H\x1b[J";
/** Lines of a screen that are no queues. */
const LINES_AROUND = 7;

/** What a bus has at one moment. */
interface Seen {
  readonly bus: string;
  readonly host: Host;
  /** Without this process. */
  readonly peers: readonly Peer[];
  readonly queues: readonly Row[];
}

interface Row extends QueueListing {
  /** Messages of the queue that takes its dead letters. */
  readonly dead: number;
}

/** Prints what a bus has; with `--watch` again and again until a signal. */
export async function inspect(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, INSPECT, [1, 1]);
  const [name = ""] = operands;
  const is_terminal = process.stdout.isTTY === true;
  await using bus = await open(name, options);
  const ended = new Promise<void>((resolve) => onSignal(resolve));
  for (let over = !options.watch; ; ) {
    const seen = await look(bus, patience(options));
    if (options.json) printJson(seen);
    else {
      const rows_max = options.watch && is_terminal ? rowsMax() : Infinity;
      if (options.watch && is_terminal) process.stdout.write(HOME_AND_CLEAR);
      for (const line of screen(seen, rows_max)) printLine(line);
    }
    if (over) return;
    over = await within(EVERY_MS, ended);
    if (over) return;
  }
}

async function look(bus: Bus, wait: ReturnType<typeof patience>): Promise<Seen> {
  const queues: QueueListing[] = [];
  for await (const queue of bus.admin.list(undefined, wait)) queues.push(queue);
  const held = new Map(queues.map((queue) => [queue.name, messages(queue)]));
  const rows = queues.map((queue) => {
    const { deadLetter = `${queue.name}.dead` } = queue.options;
    // Dead letters that die again stay where they are.
    const is_own = deadLetter === false || deadLetter === queue.name;
    return Object.assign(queue, { dead: is_own ? 0 : (held.get(deadLetter) ?? 0) });
  });
  const { id } = bus.peer;
  const peers = bus.peers.get().filter((peer) => peer.id !== id);
  return { bus: bus.name, host: bus.host.get(), peers, queues: rows };
}

const messages = ({ ready, delayed, leased }: QueueListing) => ready + delayed + leased;

type Column = readonly [title: string, read: (row: Row) => string];

const COLUMNS: readonly Column[] = [
  ["queue", ({ name, paused }) => (paused ? `${name} (paused)` : name)],
  ["ready", ({ ready }) => grouped(ready)],
  ["delayed", ({ delayed }) => grouped(delayed)],
  ["delivered", ({ leased }) => grouped(leased)],
  ["dead", ({ dead }) => grouped(dead)],
  ["consumers", ({ consumers }) => grouped(consumers)],
];

function* screen({ bus, host, peers, queues }: Seen, rows_max: number): Generator<string> {
  const { kind, epoch, storage, durability, persisted } = host;
  const kept = persisted ? ", kept" : "";
  yield `bus:     ${bus}`;
  yield `host:    ${kind}, epoch ${epoch}`;
  yield `storage: ${storage}, ${durability} at most${kept}`;
  yield `peers:   ${peers.length}${peers.length ? ` (${peers.map(called).join(", ")})` : ""}`;
  yield "";
  if (!queues.length) return yield "no queues";
  yield* table(queues.slice(0, rows_max));
  if (queues.length > rows_max) yield `and ${grouped(queues.length - rows_max)} more`;
}

const called = ({ name, id }: Peer) => name ?? id.slice(0, 8);

function* table(rows: readonly Row[]): Generator<string> {
  const cells = rows.map((row) => COLUMNS.map(([, read]) => read(row)));
  const lines = [COLUMNS.map(([title]) => title), ...cells];
  const widths = COLUMNS.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  for (const line of lines) {
    // Names stand to the left, numbers to the right.
    yield line
      .map((cell, at) => (at ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join("  ");
  }
}

const rowsMax = () => Math.max(1, (process.stdout.rows ?? 24) - LINES_AROUND);

/** Whether it came in time. */
async function within(time_ms: number, ended: Promise<void>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), time_ms);
  });
  const came = await Promise.race([late, ended.then(() => true)]);
  clearTimeout(timer);
  return came;
}
