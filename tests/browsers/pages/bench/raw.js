// The same with BroadcastChannel and IndexedDB alone, as a careful user would do it.
import { Arrivals, bodyOf, burst, medianMs, perSecond, throughPerSecond } from "./measure.js";

const channel = (name) => new BroadcastChannel(`bench-raw-${name}`);
const [live, ping, pong, ask, reply, told] = ["live", "ping", "pong", "ask", "reply", "told"].map(
  channel,
);
const arrived = new Arrivals("raw live");
const processed = new Arrivals("raw through");
const answered = [];
const calls = new Map();
let last_call = 0;
let database;
/** What a chunk of the log has for a message beside its body. */
const RECORD_BYTES = 20;

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("bench-raw", 1);
    request.onupgradeneeded = () => {
      for (const name of ["kept", "through"]) {
        request.result.createObjectStore(name, { autoIncrement: true });
      }
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** One transaction; resolves with what `act` returned once it is complete. */
function transact(name, act, durability = "relaxed") {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(name, "readwrite", { durability });
    const result = act(transaction.objectStore(name));
    transaction.oncomplete = () => resolve(result);
    transaction.onabort = () => reject(transaction.error);
  });
}

function call(a, b) {
  last_call += 1;
  const id = last_call;
  return new Promise((resolve) => {
    calls.set(id, resolve);
    ask.postMessage({ id, a, b });
  });
}

export const raw = {
  async connect() {
    database = await open();
  },

  async answer() {
    live.onmessage = () => arrived.add();
    ping.onmessage = ({ data }) => pong.postMessage(data);
    ask.onmessage = ({ data: { id, a, b } }) => reply.postMessage({ id, sum: a + b });
    // Processed is what is there no more: the other tab stored it, this one removes it.
    told.onmessage = async ({ data: { key } }) => {
      await transact("through", (store) => void store.delete(key));
      processed.add();
    };
  },
  async ask() {
    pong.onmessage = () => answered.shift()?.();
    reply.onmessage = ({ data: { id, sum } }) => {
      calls.get(id)?.(sum);
      calls.delete(id);
    };
  },

  live({ count, bytes }) {
    const body = bodyOf(bytes);
    return burst("raw live", count, () => live.postMessage(body));
  },
  liveRoundTrip({ duration_ms, bytes }) {
    const body = bodyOf(bytes);
    return medianMs(duration_ms, () => {
      ping.postMessage(body);
      return new Promise((resolve) => answered.push(resolve));
    });
  },
  async send({ duration_ms, in_flight, bytes }) {
    const body = bodyOf(bytes);
    const add = () => transact("kept", (store) => void store.add({ body }));
    return (await perSecond(duration_ms, in_flight, add)).rate;
  },
  /** What the storage takes at most: chunks of as many bytes, one after the other. */
  async durable({ duration_ms, in_flight, bytes, durability }) {
    const chunk = bodyOf(in_flight * (bytes + RECORD_BYTES));
    const write = () => transact("kept", (store) => void store.add(chunk), durability);
    return (await perSecond(duration_ms, 1, write, in_flight)).rate;
  },
  async sendBatch({ duration_ms, bytes, items }) {
    const batch = Array.from({ length: items }, () => ({ body: bodyOf(bytes) }));
    const addAll = (store) => batch.forEach((item) => store.add(item));
    return (await perSecond(duration_ms, 1, () => transact("kept", addAll), items)).rate;
  },
  through({ duration_ms, in_flight, bytes }) {
    const body = bodyOf(bytes);
    const work = async () => {
      const added = await transact("through", (store) => store.add({ body }));
      told.postMessage({ key: added.result, body });
    };
    return throughPerSecond("raw through", duration_ms, in_flight, work);
  },
  callMedian: ({ duration_ms }) => medianMs(duration_ms, () => call(2, 3)),
  async call({ duration_ms, in_flight }) {
    return (await perSecond(duration_ms, in_flight, () => call(2, 3))).rate;
  },
};
