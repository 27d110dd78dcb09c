import { connect } from "../../../pkg/dist/node.js";

/** Two hubs are measured from one process, and a bus of a realm has one hub: each has a bus. */
const nameAt = (url) => `bench-${new URL(url).port}`;

async function open(url) {
  const bus = await connect(nameAt(url), { hub: url });
  await bus.ready();
  return bus;
}

export async function receive(url, count) {
  const bus = await open(url);
  const live = bus.subscribe("bench.live", () => count("live"));
  await live.ready();
  const handler = () => count("handled");
  const consumer = bus.queue("through").process({ concurrency: 256, prefetch: 1024 }, handler);
  await consumer.ready();
  await bus.serve("bench@1", { add: (a, b) => a + b }).ready();
}

export async function drive(url) {
  const bus = await open(url);
  const topic = bus.topic("bench.live");
  const queues = { send: bus.queue("kept"), through: bus.queue("through") };
  await queues.send.ready();
  await queues.through.ready();
  const services = { there: bus.client("bench@1"), hub: bus.client("here@1") };
  return {
    post: (body) => topic.post(body),
    send: (queue, body, durability) => queues[queue].send(body, { durability, confirm: "hub" }),
    call: async (a, b, whose) => (await services[whose].add(a, b)) === a + b,
    purge: () => queues.send.purge(),
    end: () => bus.close(),
  };
}
