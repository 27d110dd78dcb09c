// Durable Objects that sleep, wake, are evicted and begin anew.
import assert from "node:assert/strict";
import { test } from "node:test";

import { connectTo, startWorker, Way } from "./cloudflare.mjs";
import { temporaryFolder } from "./files.mjs";
import { take, until } from "./helpers.mjs";
import { freePort } from "./ports.mjs";

/** The runtime lets an object sleep after ten seconds without an event. */
const SLEEP_MS = 10_000;
/** What came last has an end after a while: a node settles, and repeats what it said. */
const SETTLE_MS = 5000;

/**
 * So long nothing is asked of any other object that those sleep, which their next instances show.
 * The clock is a delayed message of a bus of its own.
 */
async function quiet(t, url) {
  const clock = await connectTo(t, url, "clock");
  await clock.queue("q").send("over", { delay: SLEEP_MS + SETTLE_MS, confirm: "hub" });
  const [delivery] = await take(clock.queue("q").consume(), 1);
  await delivery.ack();
}

test("cloudflare: an idle object sleeps under open sockets, which go on when it wakes", {
  timeout: 60_000,
}, async (t) => {
  const worker = await startWorker(t);
  const [near, far] = [
    await connectTo(t, worker.url, "sleep", { limits: { node_silence_ms: 1000 } }),
    await connectTo(t, worker.url, "sleep"),
  ];
  const statuses = [];
  for (const bus of [near, far])
    bus.addEventListener("status", ({ detail }) => statuses.push(detail));
  const heard = far.subscribe("x");
  await heard.ready();
  const worked = [];
  far.queue("jobs").process(({ body }) => void worked.push(body));
  const kept = await near.queue("kept").send("before", { confirm: "hub" });
  await near.queue("jobs").send(1, { confirm: "processed" });
  const before = await worker.instance("sleep");
  const epoch = near.host.get().epoch;
  // A probe after ten times the silence wakes nobody.
  await quiet(t, worker.url);
  await near.queue("jobs").send(2, { confirm: "processed" });
  const after = await worker.instance("sleep");
  assert.equal(after.made, before.made + 1, "it slept, and was made anew");
  assert.equal(near.host.get().epoch, epoch, "and goes on as the node that it was");
  await until(() => worked.length === 2);
  assert.deepEqual(worked, [1, 2]);
  await near.publish("x", "heard");
  assert.equal((await take(heard, 1))[0].body, "heard");
  const [delivery] = await take(near.queue("kept").consume(), 1);
  assert.equal(delivery.body, "before");
  assert.equal(delivery.id, kept.id);
  await delivery.ack();
  assert.ok(!statuses.includes("offline"), String(statuses));
});

test("cloudflare: a wake says nothing to anybody but what woke it", {
  timeout: 60_000,
}, async (t) => {
  const worker = await startWorker(t);
  const ways = await Promise.all([0, 1, 2].map(() => Way.open(t, worker.url)));
  const [near, far, idle] = await Promise.all(ways.map(({ url }) => connectTo(t, url, "wake")));
  const worked = [];
  await far.queue("jobs").process(({ body }) => void worked.push(body)).ready();
  const heard = idle.subscribe("news.*");
  await heard.ready();
  await near.queue("jobs").send(0, { confirm: "processed" });
  await near.publish("other", "before");
  const before = await worker.instance("wake");
  await quiet(t, worker.url);
  for (const way of ways) way.said.length = 0;
  const timed = async (body) => {
    const began = performance.now();
    await near.queue("jobs").send(body, { confirm: "hub" });
    return performance.now() - began;
  };
  const woken_ms = await timed(1);
  await until(() => worked.length === 2);
  const turns = () =>
    ways.map(({ said }) => said.map(([by]) => by).filter((by, at, all) => by !== all[at - 1]));
  // A send and that it is stored; a delivery, its settlement, and that this is stored.
  await until(() => turns()[1].length === 3);
  assert.deepEqual(turns(), [["client", "hub"], ["hub", "client", "hub"], []]);
  assert.equal((await worker.instance("wake")).made, before.made + 1);
  const awake_ms = await timed(2);
  t.diagnostic(`${woken_ms} ms, ${awake_ms} ms awake`);
  await near.publish("news.late", "after");
  assert.equal((await take(heard, 1))[0].body, "after");
  await until(() => worked.length === 3);
});

test("cloudflare: an alarm wakes an object that sleeps for what is delayed", {
  timeout: 60_000,
}, async (t) => {
  const worker = await startWorker(t);
  const bus = await connectTo(t, worker.url, "alarm");
  const before = await worker.instance("alarm");
  const delay_ms = SLEEP_MS + SETTLE_MS;
  const sent_at = Date.now();
  await bus.queue("later").send("late", { delay: delay_ms, confirm: "hub" });
  const { alarm } = await worker.instance("alarm");
  assert.ok(alarm > sent_at, "the alarm is set");
  const [delivery] = await take(bus.queue("later").consume(), 1);
  const waited_ms = Date.now() - sent_at;
  assert.equal(delivery.body, "late");
  assert.ok(waited_ms >= delay_ms && waited_ms < delay_ms + 5000, `${waited_ms} ms`);
  await delivery.ack();
  const after = await worker.instance("alarm");
  assert.equal(after.made, before.made + 1, "it slept, and nobody else woke it");
});

test("cloudflare: an object with nothing to do has no alarm that would wake it soon", {
  timeout: 60_000,
}, async (t) => {
  const options = `{
    binding: "HUB",
    authorize: "anonymous",
    limits: { result_keep_ms: 500 },
    start: (bus) => { bus.queue("jobs").process(({ body }) => body + 1); },
  }`;
  const worker = await startWorker(t, { options });
  const bus = await connectTo(t, worker.url, "rest");
  const receipt = await bus.queue("jobs").send(1, { confirm: "processed" });
  assert.equal(await receipt.processed(), 2);
  const hour_ms = 3_600_000;
  await until(async () => {
    const { alarm } = await worker.instance("rest");
    return alarm === null || alarm > Date.now() + hour_ms;
  });
});

/** Sends numbers until it is told to stop; `confirmed` has those that the hub has stored. */
function produce(bus, producer, confirmed, failures) {
  const queue = bus.queue("jobs");
  const stop = new AbortController();
  let next = 0;
  const send = async () => {
    while (!stop.signal.aborted) {
      const id = `${producer}:${next++}`;
      try {
        await queue.send(id, { confirm: "hub" });
        confirmed.add(id);
      } catch (error) {
        failures.push(error.code);
      }
    }
  };
  const running = Promise.all(Array.from({ length: 8 }, send));
  return () => {
    stop.abort();
    return running;
  };
}

/** Notes what it is given, and says which of it has its acknowledgement. */
function consume(bus, seen) {
  const consumer = bus.queue("jobs").consume({ prefetch: 16 });
  const settling = new Set();
  const settle = async (delivery) => {
    if (seen.acked.has(delivery.body)) seen.faults.push(`${delivery.body} came again`);
    try {
      await delivery.ack();
      seen.acked.add(delivery.body);
    } catch (error) {
      // What was stored of the effect is not known: it may come again, and was not acknowledged.
      if (!["STALE_LEASE", "TIMEOUT"].includes(error.code)) seen.faults.push(error.message);
      seen.doubted.add(delivery.body);
    }
  };
  const running = (async () => {
    for await (const delivery of consumer) {
      const settled = settle(delivery).finally(() => settling.delete(settled));
      settling.add(settled);
    }
    await Promise.allSettled(settling);
  })();
  return async () => {
    await consumer.close();
    await running;
  };
}

/** Has two clients send and two consume while `disturb` ends the object again and again. */
async function underLoad(t, open, rounds, disturb) {
  const clients = await Promise.all([open(), open(), open(), open()]);
  const [confirmed, failures] = [new Set(), []];
  const seen = { acked: new Set(), doubted: new Set(), faults: [] };
  const consumers = clients.slice(2).map((bus) => consume(bus, seen));
  const producers = clients.slice(0, 2).map((bus, at) => produce(bus, at, confirmed, failures));
  for (let round = 0; round < rounds; round += 1) {
    const enough = [confirmed.size + 100, seen.acked.size + 50];
    await until(() => confirmed.size > enough[0] && seen.acked.size > enough[1]);
    await disturb();
  }
  await Promise.all(producers.map((stop) => stop()));
  await until(() => [...confirmed].every((id) => seen.acked.has(id) || seen.doubted.has(id)));
  const { ready } = await clients[0].queue("jobs").info();
  await Promise.all(consumers.map((stop) => stop()));
  assert.deepEqual([failures, seen.faults], [[], []]);
  assert.equal(ready, 0, "and nothing waits");
  t.diagnostic(`${rounds} ends, ${confirmed.size} confirmed, ${seen.doubted.size} in doubt`);
}

test("cloudflare: evicted under load: nothing confirmed is lost, nothing done twice", {
  timeout: 120_000,
}, async (t) => {
  const worker = await startWorker(t);
  const { made } = await worker.instance("load");
  const open = () => connectTo(t, worker.url, "load");
  await underLoad(t, open, 5, () => worker.evict("load"));
  assert.ok((await worker.instance("load")).made >= made + 5);
});

test("cloudflare: restarted under load on the same storage: nothing confirmed is lost", {
  timeout: 120_000,
}, async (t) => {
  const persist = temporaryFolder(t);
  let worker = await startWorker(t, { persist, port: await freePort() });
  const { port, url } = worker;
  await underLoad(t, () => connectTo(t, url, "load"), 2, async () => {
    await worker.stop();
    worker = await startWorker(t, { persist, port });
  });
});
