import process from "node:process";

import type { Bus, Host, Peer, QueueListing, ServiceListing } from "../types.js";
import { COMMON, open, patience } from "./connection.js";
import { printJson, printLine } from "./print.js";
import { grouped } from "./progress.js";
import { onSignal } from "./signals.js";
import { type Column, table } from "./table.js";
import { parse, UsageError } from "./words.js";

const INSPECT = { ...COMMON, watch: "flag" } as const;

const EVERY_MS = 1000;
const HOME_AND_CLEAR = "\x1b[H\x1b[J";
/** Lines of a screen that are no queues and no services. */
const LINES_AROUND = 10;
/** The word before a bus of which only the services are shown. */
const SERVICES = "services";

/** What a bus has at one moment. */
interface Seen {
  readonly bus: string;
  readonly host: Host;
  /** Without this process. */
  readonly peers: readonly Peer[];
  readonly queues: readonly Row[];
  readonly services: readonly ServiceListing[];
}

interface Row extends QueueListing {
  /** Messages of the queue that takes its dead letters. */
  readonly dead: number;
}

/** Prints what a bus has; with `--watch` again and again until a signal. */
export async function inspect(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, INSPECT, [1, 2]);
  const of_services = operands.length > 1;
  if (of_services && operands[0] !== SERVICES)
    throw new UsageError(`"${operands[1]}" is one word too many.`);
  const name = operands.at(-1) ?? "";
  const is_terminal = process.stdout.isTTY === true;
  await using bus = await open(name, options);
  const ended = new Promise<void>((resolve) => onSignal(resolve));
  for (let over = !options.watch; ; ) {
    const seen = await look(bus, patience(options), of_services);
    if (options.json) printJson(of_services ? { bus: name, services: seen.services } : seen);
    else {
      const rows_max = options.watch && is_terminal ? rowsMax() : Infinity;
      if (options.watch && is_terminal) process.stdout.write(HOME_AND_CLEAR);
      const lines = of_services ? servers(seen, rows_max) : screen(seen, rows_max);
      for (const line of lines) printLine(line);
    }
    if (over) return;
    over = await within(EVERY_MS, ended);
    if (over) return;
  }
}

async function look(
  bus: Bus,
  wait: ReturnType<typeof patience>,
  of_services: boolean,
): Promise<Seen> {
  const services = await all(bus.admin.services(wait));
  const queues = of_services ? [] : await all(bus.admin.list(undefined, wait));
  const held = new Map(queues.map((queue) => [queue.name, messages(queue)]));
  const rows = queues.map((queue) => {
    const { deadLetter = `${queue.name}.dead` } = queue.options;
    // Dead letters that die again stay where they are.
    const is_own = deadLetter === false || deadLetter === queue.name;
    return Object.assign(queue, { dead: is_own ? 0 : (held.get(deadLetter) ?? 0) });
  });
  const { id } = bus.peer;
  const peers = bus.peers.get().filter((peer) => peer.id !== id);
  return { bus: bus.name, host: bus.host.get(), peers, queues: rows, services };
}

async function all<T>(listed: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const entry of listed) found.push(entry);
  return found;
}

const messages = ({ ready, delayed, leased }: QueueListing) => ready + delayed + leased;

const QUEUES: readonly Column<Row>[] = [
  ["queue", ({ name, paused }) => (paused ? `${name} (paused)` : name)],
  ["ready", ({ ready }) => grouped(ready)],
  ["delayed", ({ delayed }) => grouped(delayed)],
  ["delivered", ({ leased }) => grouped(leased)],
  ["dead", ({ dead }) => grouped(dead)],
  ["consumers", ({ consumers }) => grouped(consumers)],
];

const running = (service: ServiceListing) =>
  service.servers.reduce((sum, server) => sum + server.running, 0);

const OF_SERVICES: readonly Column<ServiceListing>[] = [
  ["service", ({ name }) => name],
  ["servers", ({ servers: all_of_it }) => grouped(all_of_it.length)],
  ["running", (service) => grouped(running(service))],
  ["waiting", ({ waiting }) => grouped(waiting)],
];

/** A server of a service, or a service without one. */
interface Served {
  readonly service: ServiceListing;
  readonly server?: ServiceListing["servers"][number];
  /** It is the first of its service, beside which stands what belongs to all. */
  readonly is_first: boolean;
  readonly peer: string;
}

const SERVERS: readonly Column<Served>[] = [
  ["service", ({ service }) => service.name],
  ["waiting", ({ service, is_first }) => (is_first ? grouped(service.waiting) : "")],
  ["server", ({ peer }) => peer],
  ["running", ({ server }) => (server ? grouped(server.running) : "")],
  ["at a time", ({ server }) => (server ? grouped(server.concurrency) : "")],
];

/** Each server of each service. */
function* servers({ peers, services }: Seen, rows_max: number): Generator<string> {
  if (!services.length) return yield "no services";
  const names = new Map(peers.map((peer) => [peer.id, called(peer)]));
  const rows = services.flatMap((service): Served[] => {
    if (!service.servers.length) return [{ service, is_first: true, peer: "nobody" }];
    return service.servers.map((server, at) => {
      const peer = names.get(server.peer) ?? server.peer.slice(0, 8);
      return { service, server, is_first: at === 0, peer };
    });
  });
  yield* cut(SERVERS, rows, rows_max);
}

function* cut<T>(columns: readonly Column<T>[], rows: readonly T[], rows_max: number) {
  yield* table(columns, rows.slice(0, rows_max));
  if (rows.length > rows_max) yield `and ${grouped(rows.length - rows_max)} more`;
}

function* screen(seen: Seen, rows_max: number): Generator<string> {
  const { bus, host, peers, queues, services } = seen;
  const { kind, epoch, storage, durability, persisted } = host;
  const kept = persisted ? ", kept" : "";
  yield `bus:     ${bus}`;
  yield `host:    ${kind}, epoch ${epoch}`;
  yield `storage: ${storage}, ${durability} at most${kept}`;
  yield `peers:   ${peers.length}${peers.length ? ` (${peers.map(called).join(", ")})` : ""}`;
  yield "";
  // Both have room, the queues first.
  const for_services = Math.min(services.length, Math.floor(rows_max / 2));
  if (queues.length) yield* cut(QUEUES, queues, rows_max - for_services);
  else yield "no queues";
  if (!services.length) return;
  yield "";
  yield* cut(OF_SERVICES, services, Math.max(1, rows_max - queues.length, for_services));
}

const called = ({ name, id }: Peer) => name ?? id.slice(0, 8);

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
