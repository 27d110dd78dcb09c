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
  readonly bus: Labels;
  readonly sockets: number;
  /** Absent if the bus does not answer. */
  readonly queues: readonly QueueListing[] | undefined;
}

/** What is in the queues of all open buses, in the OpenMetrics text format. */
export async function metricsOf(buses: readonly OpenBus[], sockets: number): Promise<string> {
  return render(families(await Promise.all(buses.map(look)), sockets));
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

function families(looked: readonly Looked[], sockets: number): Family[] {
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
    gauge("hub_buses", "Buses that are open.", [[{}, looked.length]]),
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
