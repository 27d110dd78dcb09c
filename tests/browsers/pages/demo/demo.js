// One tab of the demo. Which part it plays it is told through `globalThis.demo`.
import { wasmBytes } from "./memory.js";
import { createBus, isTabmqError } from "tabmq";
import { drawProgress } from "./chart.js";
import { addEffect, clearEffects, countEffects, effectIds, totalsOfEffects } from "./effects.js";

const BATCH = 50;
const BATCH_WAIT_MS = 4;
const SEND_BATCH = 100;
const SENDS_AT_ONCE = 4;
const PROGRESS_MS = 200;
const CALL_TRIES = 5;

const bus = createBus("flights", { host: "tab" });
const queue = bus.queue("flights", { lease: "3s" });
const unixNow = () => performance.timeOrigin + performance.now();

const errors = [];
bus.addEventListener("error", ({ detail }) => errors.push(String(detail)));
bus.addEventListener("storage", ({ detail }) => errors.push(JSON.stringify(detail)));

/** Every epoch this tab has seen, with when it first took a delivery under it. */
const epochs = new Map();
bus.host.subscribe(({ epoch }) => epoch > 0 && !epochs.has(epoch) && epochs.set(epoch, null));

/** Newest counts of every worker, by peer: published by the workers, kept by all. */
const progress = new Map();
let total = 0;
bus.subscribe("progress.*", ({ body }) => {
  progress.set(body.worker, body);
  total = Math.max(total, body.total);
  if (total > 0) drawProgress(sumOf("processed"), total);
});

function sumOf(field) {
  return [...progress.values()].reduce((sum, counts) => sum + counts[field], 0);
}

/** Calls under way when the node dies fail; this one may be made again. */
async function callAgain(call) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await call();
    } catch (error) {
      if (!isTabmqError(error) || !error.retryable || tries === CALL_TRIES) throw error;
    }
  }
}

/** Collects flights of concurrent handlers, so that one call serves a batch. */
function makeBatcher(service) {
  const waiting = [];
  let timer;
  async function flush() {
    clearTimeout(timer);
    timer = undefined;
    const batch = waiting.splice(0);
    try {
      const routes = await callAgain(() => service.routes(batch.map(({ flight }) => flight)));
      batch.forEach(({ resolve }, index) => resolve(routes[index]));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
  return (flight) =>
    new Promise((resolve, reject) => {
      waiting.push({ flight, resolve, reject });
      if (waiting.length >= BATCH) flush();
      else timer ??= setTimeout(flush, BATCH_WAIT_MS);
    });
}

const counts = { processed: 0, suppressed: 0, redelivered: 0, stale_acks: 0 };
let held = 0;
let release;
let gate;

function publishProgress() {
  const body = { worker: bus.peer.id, total, ...counts };
  bus.topic(`progress.${bus.peer.id}`).post(body);
}

/** One delivery: the service's answer, the effect, the ack. */
async function processFlight(job, routeOf) {
  const { epoch } = bus.host.get();
  if (epochs.get(epoch) === null) epochs.set(epoch, unixNow());
  if (job.attempt > 1) counts.redelivered += 1;
  total = Math.max(total, job.body.total);
  const { id, delay, distance } = job.body;
  const { origin, destination } = await routeOf(job.body);
  if (!(await addEffect({ id, origin, destination, delay, distance }))) counts.suppressed += 1;
  held += 1;
  await gate;
  held -= 1;
  try {
    await job.ack();
    counts.processed += 1;
  } catch (error) {
    if (!isTabmqError(error, "STALE_LEASE")) throw error;
    counts.stale_acks += 1;
  }
}

async function sendAll(flights, confirmed) {
  const batches = [];
  for (let first = 0; first < flights.length; first += SEND_BATCH) {
    batches.push(flights.slice(first, first + SEND_BATCH));
  }
  let resent = 0;
  async function sendNext() {
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
      try {
        await queue.sendBatch(batch.map((body) => ({ body })));
        for (const { id } of batch) confirmed.add(id);
      } catch (error) {
        if (!isTabmqError(error) || !error.retryable) throw error;
        // It may be stored all the same. The effects are keyed by id, so twice does no harm.
        batches.unshift(batch);
        resent += batch.length;
      }
    }
  }
  await Promise.all(Array.from({ length: SENDS_AT_ONCE }, sendNext));
  return resent;
}

const confirmed = new Set();
let sending;

globalThis.demo = {
  async ready(role) {
    document.getElementById("role").textContent = role;
    await bus.ready();
    return bus.host.get();
  },
  host: () => bus.host.get(),
  errors: () => errors,
  epochs: () => [...epochs],

  /** Tab A: sends every flight, and goes on while it answers other orders. */
  async produce(limit, first_id = 0) {
    const answer = await fetch("/data/flights-20k.json");
    const flights = (await answer.json()).slice(0, limit);
    const total_then = first_id + flights.length;
    const bodies = flights.map((flight, index) =>
      Object.assign(flight, { id: first_id + index, total: total_then }),
    );
    sending = { done: false, resent: 0, error: null };
    sendAll(bodies, confirmed).then(
      (resent) => Object.assign(sending, { done: true, resent }),
      (error) => Object.assign(sending, { error: String(error) }),
    );
  },
  sending: () => sending,

  /** Tabs B, C and D. */
  async work() {
    const routeOf = makeBatcher(bus.client("routes@1"));
    const consumer = queue.process({ concurrency: BATCH }, (job) => processFlight(job, routeOf));
    setInterval(publishProgress, PROGRESS_MS);
    await consumer.ready();
  },
  /** Keeps deliveries between their effect and their ack until `letGo`. */
  hold() {
    gate = new Promise((resolve) => (release = resolve));
  },
  /** Every delivery is kept, so that this tab has no transaction open that others wait for. */
  holdsAll: () => held === BATCH,
  letGo() {
    release();
    gate = undefined;
  },
  held: () => held,
  counts: () => counts,

  /** Tab E: tells the airports of a batch of flights. */
  async serve() {
    const routes = (flights) => flights.map(({ origin, destination }) => ({ origin, destination }));
    await bus.serve("routes@1", { routes }).ready();
  },

  processed: () => sumOf("processed"),
  sums: () => ({
    processed: sumOf("processed"),
    suppressed: sumOf("suppressed"),
    redelivered: sumOf("redelivered"),
    stale_acks: sumOf("stale_acks"),
  }),
  queueInfo: () => queue.info(),
  effects: countEffects,
  totals: totalsOfEffects,
  wasmBytes,
  /** The node dies with no farewell, whichever tab it is in; the tab lives on. */
  killNode: () => bus.admin.killHost(),
  /** What came of the flights from `first_id` on. It is forgotten, so that nothing piles up. */
  async takeStock(first_id) {
    const ids = await effectIds();
    const present = new Set(ids);
    const lost = [...confirmed].filter((id) => !present.has(id)).length;
    const stock = { effects: ids.length, lost, late: ids.filter((id) => id < first_id).length };
    confirmed.clear();
    await clearEffects();
    return stock;
  },
  /** Ids that were confirmed and have no effect. */
  async lost() {
    const present = new Set(await effectIds());
    return [...confirmed].filter((id) => !present.has(id));
  },
};
