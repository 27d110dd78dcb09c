// What is measured, done with tabmq.
import { createBus } from "tabmq";
import { Arrivals, bodyOf, burst, medianMs, perSecond, throughPerSecond } from "./measure.js";

const bus = createBus("bench");
const arrived = new Arrivals("ours live");
const processed = new Arrivals("ours through");
const calc = bus.client("calc@1");
const answered = [];

export const ours = {
  async connect() {
    await bus.ready();
    return bus.host.get();
  },

  /** The tab that receives, processes and answers. */
  async answer() {
    const back = bus.topic("pong");
    const open = [
      bus.subscribe("live", () => arrived.add()),
      bus.subscribe("ping", ({ body }) => back.post(body)),
      bus.serve("calc@1", { add: (a, b) => a + b }),
    ];
    // What is processed is acknowledged: it must be as gone as what the raw side deletes.
    const handle = async (job) => {
      await job.ack();
      processed.add();
    };
    open.push(bus.queue("through").process({ concurrency: 32 }, handle));
    for (const live of open) await live.ready();
  },
  /** The tab that publishes, sends and calls. */
  async ask() {
    await bus.subscribe("pong", () => answered.shift()?.()).ready();
  },

  live({ count, bytes }) {
    const topic = bus.topic("live");
    const body = bodyOf(bytes);
    return burst("ours live", count, () => topic.post(body));
  },
  liveRoundTrip({ duration_ms, bytes }) {
    const topic = bus.topic("ping");
    const body = bodyOf(bytes);
    return medianMs(duration_ms, () => {
      topic.post(body);
      return new Promise((resolve) => answered.push(resolve));
    });
  },
  async send({ duration_ms, in_flight, bytes }) {
    const queue = bus.queue("kept");
    const body = bodyOf(bytes);
    return (await perSecond(duration_ms, in_flight, () => queue.send(body))).rate;
  },
  async durable({ duration_ms, in_flight, bytes, durability }) {
    const queue = bus.queue("kept");
    const body = bodyOf(bytes);
    const send = () => queue.send(body, { durability });
    return (await perSecond(duration_ms, in_flight, send)).rate;
  },
  async sendBatch({ duration_ms, bytes, items }) {
    const queue = bus.queue("kept");
    const batch = Array.from({ length: items }, () => ({ body: bodyOf(bytes) }));
    return (await perSecond(duration_ms, 1, () => queue.sendBatch(batch), items)).rate;
  },
  through({ duration_ms, in_flight, bytes }) {
    const queue = bus.queue("through");
    const body = bodyOf(bytes);
    return throughPerSecond("ours through", duration_ms, in_flight, () => queue.send(body));
  },
  callMedian: ({ duration_ms }) => medianMs(duration_ms, () => calc.add(2, 3)),
  async call({ duration_ms, in_flight }) {
    return (await perSecond(duration_ms, in_flight, () => calc.add(2, 3))).rate;
  },
};
