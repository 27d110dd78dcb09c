import type { Bus, QueueListing } from "../types.js";
import { type Family, type Labels, render } from "./openmetrics.js";

/** A bus that is open. */
export interface OpenBus {
  readonly name: string;
  readonly bus: Bus;
  readonly sockets: number;
}

/** How long a bus may take to list its queues before it counts as down. */
const LIST_MS = 5000;

interface Looked {
  readonly bus: { readonly bus: string };
  readonly sockets: number;
  /** Absent if the bus does not answer. */
  readonly queues: readonly QueueListing[] | undefined;
}

/** What there is to be told of a hub. */
export interface HubState {
  readonly buses: readonly OpenBus[];
  /** Names of those that failed and are not open again. */
  readonly failed: readonly string[];
  readonly sockets: number;
}

/**
 * What is in the queues of all open buses, in the OpenMetrics text format, and the names of those
 * that do not answer.
 */
export async function metricsOf({ buses, failed, sockets }: HubState) {
  const open = await Promise.all(buses.map(look));
  const silent = open.filter(({ queues }) => !queues).map(({ bus }) => bus.bus);
  const opened = new Set(buses.map(({ name }) => name));
  const down = failed
    .filter((name) => !opened.has(name))
    .map((name): Looked => ({ bus: { bus: name }, sockets: 0, queues: undefined }));
  return { text: render(families([...open, ...down], sockets, down.length)), silent };
}

async function look({ name, bus, sockets }: OpenBus): Promise<Looked> {
  const queues: QueueListing[] = [];
  try {
    for await (const queue of bus.admin.list(undefined, { timeout: LIST_MS })) queues.push(queue);
  } catch {
    return { bus: { bus: name }, sockets, queues: undefined };
  }
  return { bus: { bus: name }, sockets, queues };
}

type Read = (queue: QueueListing) => number;

const COUNTERS: readonly (readonly [name: string, help: string, read: Read])[] = [
  ["sent", "Messages stored.", (queue) => queue.sentTotal],
  ["acked", "Messages acknowledged.", (queue) => queue.ackedTotal],
  ["redelivered", "Deliveries after the first one.", (queue) => queue.redeliveredTotal],
  ["dead_lettered", "Messages that became dead letters.", (queue) => queue.deadLetteredTotal],
  ["discarded", "Messages discarded.", (queue) => queue.discardedTotal],
];

const STATES = ["ready", "delayed", "leased", "prepared"] as const;

function families(looked: readonly Looked[], sockets: number, failed: number): Family[] {
  const family = (
    type: Family["type"],
    name: string,
    help: string,
    samples: Family["samples"],
  ): Family => ({ name: `tabmq_${name}`, type, help, samples });
  const gauge = family.bind(undefined, "gauge");
  const each = (read: (queue: QueueListing, labels: Labels) => Family["samples"]) =>
    looked.flatMap(({ bus, queues = [] }) =>
      queues.flatMap((queue) => read(queue, { ...bus, queue: queue.name })),
    );
  const one = (read: Read) => each((queue, labels) => [[labels, read(queue)]]);
  return [
    gauge("hub_buses", "Buses that are open.", [[{}, looked.length - failed]]),
    gauge("hub_buses_failed", "Buses that failed and are not open again.", [[{}, failed]]),
    gauge("hub_sockets", "Sockets that are open.", [[{}, sockets]]),
    gauge(
      "bus_up",
      "Whether the bus answers.",
      looked.map(({ bus, queues }) => [bus, queues ? 1 : 0]),
    ),
    gauge(
      "bus_sockets",
      "Sockets of the bus.",
      looked.map((entry) => [entry.bus, entry.sockets]),
    ),
    gauge(
      "queue_messages",
      "Messages in the queue: ready, waiting for a time, delivered, or for a decision.",
      each((queue, labels) => STATES.map((state) => [{ ...labels, state }, queue[state]])),
    ),
    { ...gauge("queue_bytes", "Bodies, encoded.", one((queue) => queue.bytes)), unit: "bytes" },
    gauge("queue_consumers", "Consumers of the queue.", one((queue) => queue.consumers)),
    gauge("queue_paused", "Whether it is paused.", one((queue) => Number(queue.paused))),
    ...COUNTERS.map(([name, help, read]) => family("counter", `queue_${name}`, help, one(read))),
  ];
}
