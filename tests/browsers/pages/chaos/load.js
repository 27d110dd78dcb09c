// One tab of the chaos run: sends numbered messages, processes those of all tabs, calls and
// publishes beside it, and records what it sees.
import { nameRealm, record, unixNow } from "./records.js";
import { obeyFaults } from "./storage-faults.js";
import { createBus, isTabmqError } from "tabmq";
import { addKeyed, addOnce, readEffects } from "./effects.js";

const AGAIN_MS = 100;
const CALL_EVERY_MS = 2_000;
const BEAT_EVERY_MS = 2_000;
const CONCURRENCY = 4;
const KEYS = 12;
/** So many messages wait at most; else a slow machine would fall further and further behind. */
const WAITING_MAX = 200;
const KEEP = {
  maxDeliver: 1_000_000,
  backoff: 100,
  lease: "4s",
  dedupe: "1h",
  maxLength: WAITING_MAX,
};

/** What is sent how often, and what processing it does. */
const QUEUES = {
  jobs: { options: KEEP, every_ms: 300, effect: ({ id }) => addKeyed(id) },
  orders: { options: { ...KEEP, order: "key" }, every_ms: 300, effect: ({ id }) => addKeyed(id) },
  ledger: { options: { ...KEEP, durability: "strict" }, every_ms: 1_200, effect: addOnce },
};

const place = new URL(location.href).searchParams;
obeyFaults();
const realm = nameRealm(`tab-${place.get("slot")}`);
const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const codeOf = (error) => (isTabmqError(error) ? error.code : (error?.name ?? String(error)));

let bus;
let mode = place.get("host");
const load = { producing: true };
let loops = [];
let joins = 0;

function makeWorker() {
  if (mode === "worker") {
    const of = `${place.get("slot")}&version=${place.get("version")}`;
    return new Worker(`/chaos/worker.js?of=${of}`, { type: "module" });
  }
  const address = `/chaos/worker.js?of=shared&version=${place.get("version")}`;
  return new SharedWorker(address, { type: "module", name: "tabmq" });
}

function join() {
  bus = createBus("chaos", { host: mode, assets: { worker: makeWorker } });
  const own = bus;
  own.host.subscribe(({ epoch, kind, here, storage, durability, fenced }) => {
    if (epoch > 0) record("host", epoch, kind, here, storage, durability, fenced);
  });
  own.addEventListener("error", ({ detail }) => record("error", codeOf(detail), String(detail)));
  own.addEventListener("storage", ({ detail }) => record("storage", detail.code, detail.reason));
  for (const [name, { options, effect }] of Object.entries(QUEUES)) {
    own.queue(name, options).process({ concurrency: CONCURRENCY }, async (job) => {
      record("delivered", job.id, name, job.number, job.attempt);
      record((await effect(job)) ? "effect" : "duplicate", job.id);
    });
  }
  own.serve("double@1", { double: (number) => number * 2 });
  joins += 1;
  const subscription = joins;
  own.subscribe("beat", ({ body }) => record("beat", body.realm, body.number, subscription));
}

/** Sends one message until it is confirmed: a later one of its key never goes before it. */
async function sendOne(name, key, id) {
  for (;;) {
    const begun = Math.round(unixNow() * 10) / 10;
    const sender = bus;
    try {
      const { duplicate } = await sender.queue(name, QUEUES[name].options).send(id, { id, key });
      return record("confirmed", id, begun, sender.host.get().epoch, duplicate);
    } catch (error) {
      record("refused", id, codeOf(error));
      await delay(AGAIN_MS);
    }
  }
}

async function produce(name) {
  for (let number = 0; load.producing; number += 1) {
    const key = `k${(number * 7) % KEYS}`;
    const id = `${name}/${realm}/${key}/${number}`;
    record("sent", id);
    await sendOne(name, key, id);
    await delay(QUEUES[name].every_ms);
  }
}

async function call() {
  for (let number = 0; load.producing; number += 1) {
    try {
      const answer = await bus.call("double@1", "double", [number], { timeout: 5_000 });
      record("call", answer === 2 * number ? "answered" : "wrong");
    } catch (error) {
      record("call", codeOf(error));
    }
    await delay(CALL_EVERY_MS);
  }
}

async function beat() {
  for (let number = 0; load.producing; number += 1) {
    const own = bus;
    await own.publish("beat", { realm, number }).catch((error) => record("unsent", codeOf(error)));
    await delay(BEAT_EVERY_MS);
  }
}

function start() {
  sessionStorage.setItem("started", "yes");
  record("loaded", mode);
  join();
  loops = [...Object.keys(QUEUES).map(produce), call(), beat()];
}

globalThis.chaos = {
  start,
  realm,
  running: () => loops.length > 0,
  /** Leaves the bus and comes back with another choice of who hosts. */
  async rejoin(chosen) {
    const old = bus;
    mode = chosen;
    await old.close();
    record("rejoined", mode);
    join();
  },
  killNode: () => bus.admin.killHost(),
  stopProducing() {
    load.producing = false;
  },
  stopped: () => Promise.all(loops).then(() => true),
  /** What the queues have left, dead letters beside it. */
  async left() {
    let waiting = 0;
    let dead = 0;
    let acked = 0;
    for (const [name, { options }] of Object.entries(QUEUES)) {
      const info = await bus.queue(name, options).info();
      waiting += info.ready + info.delayed + info.leased;
      acked += info.ackedTotal;
      const letters = await bus.queue(name, options).deadLetters.info().catch(() => ({ ready: 0 }));
      dead += letters.ready;
    }
    return { waiting, dead, acked };
  },
  readEffects,
};
Object.defineProperty(globalThis, "__tabmqFrames", { get: () => bus?.admin.frames() ?? [] });
if (sessionStorage.getItem("started") === "yes") start();
