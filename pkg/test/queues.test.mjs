import assert from "node:assert/strict";
import { test } from "node:test";

import { Reject, Retry } from "tabmq";

import {
  AT_HUB,
  connectBus,
  deferred,
  events,
  IN_MEMORY,
  inMemory,
  notAtHub,
  take,
  until,
} from "./helpers.mjs";

const of_node = notAtHub("this device gives the ids, and may be the first to confirm");
test("send: resolves with a receipt that says what this host keeps", of_node, async (t) => {
  const bus = await connectBus(t);
  const receipt = await bus.queue("q").send({ name: "a" });
  assert.match(receipt.id, /^\d+-\d+-0$/);
  assert.equal(receipt.duplicate, false);
  assert.deepEqual(receipt.stored, {
    at: "device",
    durability: "memory",
    persisted: false,
    evictable: false,
    fenced: false,
    partitioned: undefined,
    private: undefined,
  });
  assert.equal((await bus.queue("q").send(1, { id: "mine" })).id, "mine");
});

test("send: strict is not supported in memory", inMemory, async (t) => {
  const bus = await connectBus(t);
  await assert.rejects(bus.queue("q").send(1, { durability: "strict" }), { code: "UNSUPPORTED" });
  await assert.rejects(bus.queue("s", { durability: "strict" }).ready(), { code: "UNSUPPORTED" });
  await assert.rejects(bus.queue("s", { durability: "strict" }).send(1), { code: "UNSUPPORTED" });
});

test("send: a batch is stored as a whole or not at all", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const receipts = await jobs.sendBatch([
    { body: 1 },
    { body: 2, id: "two" },
    { body: 3, headers: { h: 1 } },
  ]);
  const ids = receipts.map(({ id }) => id.replace(/^\d+-\d+-/, ""));
  // Before the hub has a message this device gives it an id.
  assert.deepEqual(ids, AT_HUB ? [ids[0], "two", ids[2]] : ["0", "two", "2"]);
  const got = await take(jobs.consume({ prefetch: 3 }), 3);
  assert.deepEqual(
    got.map(({ body }) => body),
    [1, 2, 3],
  );
  assert.deepEqual(got[2].headers, { h: 1 });
  await assert.rejects(jobs.sendBatch([{ body: 1 }, { body: new Uint8Array(2 << 20) }]), {
    code: "TOO_LARGE",
  });
  await assert.rejects(jobs.sendBatch([{ body: 1 }, { body: () => {} }]), {
    code: "UNENCODABLE",
    data: { path: "items[1].body", reason: "function" },
  });
  await assert.rejects(jobs.sendBatch([]), { code: "INVALID" });
  await assert.rejects(jobs.sendBatch("x"), { code: "INVALID" });
  await assert.rejects(jobs.sendBatch([{ body: 1, durability: "memory" }]), { code: "INVALID" });
  assert.equal((await jobs.info()).sentTotal, 3);
});

test("send: a batch may hold blobs", async (t) => {
  const bus = await connectBus(t);
  await bus.queue("q").sendBatch([{ body: new Blob(["a"]) }, { body: 2 }]);
  const [first, second] = await take(bus.queue("q").consume({ prefetch: 2 }), 2);
  assert.equal(await first.body.text(), "a");
  assert.equal(second.body, 2);
});

test("send: a delayed message comes later", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const got = take(jobs.consume({ prefetch: 3 }), 3);
  const at = new Date(Date.now() + 500);
  // At once, or the second could be due before the third is asked for.
  const sends = [jobs.send("later", { delay: "1s" }), jobs.send("at", { at }), jobs.send("now")];
  await Promise.all(sends);
  assert.deepEqual(
    (await got).map(({ body }) => body),
    ["now", "at", "later"],
  );
});

test("send: past maxLength it rejects with FULL", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { maxLength: 2 });
  await jobs.send(1);
  await jobs.send(2);
  await assert.rejects(jobs.send(3), { code: "FULL", retryable: true, maybeExecuted: false });
});

test("overflow: a ring keeps the newest, and what a queue sheds can be kept", async (t) => {
  const bus = await connectBus(t);
  const ring = bus.queue("ring", { maxLength: 2, overflow: "drop-oldest" });
  for (const body of [1, 2, 3]) await ring.send(body);
  const kept = await take(ring.consume({ prefetch: 2 }), 2);
  assert.deepEqual(
    kept.map(({ body }) => body),
    [2, 3],
  );
  assert.equal((await ring.info()).discardedTotal, 1);
  const spills = bus.queue("spills", { maxBytes: 10, overflow: "dead-letter" });
  for (const body of ["first", "second"]) await spills.send(body);
  const [dead] = await spills.deadLetters.receive();
  assert.deepEqual([dead.body, dead.deadReason], ["first", "overflow"]);
  assert.throws(() => bus.queue("q", { overflow: "lose" }), { code: "INVALID" });
});

test("a declaration: compares only the options it gives", async (t) => {
  const bus = await connectBus(t);
  await bus.queue("q", { deadLetter: "graves" }).ready();
  await bus.queue("q", { lease: "5s" }).ready();
  await bus.queue("q").ready();
  const other = bus.queue("q", { deadLetter: false });
  await assert.rejects(other.ready(), { code: "DUPLICATE_DECLARE" });
  await assert.rejects(other.send(1), { code: "DUPLICATE_DECLARE" });
  const errors = events(bus, "error");
  const consumer = other.process(() => {});
  await assert.rejects(consumer.ready(), { code: "DUPLICATE_DECLARE" });
  assert.equal((await errors)[0].code, "DUPLICATE_DECLARE");
  await assert.rejects(other.receive(), { code: "DUPLICATE_DECLARE" });
  assert.throws(() => other.deadLetters, { code: "INVALID" });
});

test("a declaration: makes the queue; to ask for its state does not", async (t) => {
  const bus = await connectBus(t);
  await assert.rejects(bus.queue("nothing").info(), { code: "NOT_FOUND" });
  const info = await bus.queue("q", { lease: "5s" }).ready();
  assert.equal(info.ready, 0);
});

test("process: acknowledges on return", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const seen = deferred();
  const consumer = jobs.process((job) => seen.resolve(job));
  await consumer.ready();
  await jobs.send("x", { headers: { a: true }, key: "k" });
  const job = await seen.promise;
  assert.equal(job.topic, "q");
  assert.equal(job.body, "x");
  assert.equal(job.attempt, 1);
  assert.equal(job.key, "k");
  assert.deepEqual(job.headers, { a: true });
  assert.ok(Math.abs(job.storedAt - Date.now()) < 60_000);
  await consumer.stop({ drain: true });
  const info = await jobs.info();
  assert.deepEqual([info.ackedTotal, info.ready, info.leased], [1, 0, 0]);
});

test("process: tries again on throw, then gives up with the reason", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { maxDeliver: 3, backoff: 1 });
  const errors = events(bus, "error", 3);
  const attempts = [];
  jobs.process(({ attempt }) => {
    attempts.push(attempt);
    throw new RangeError("no luck");
  });
  await jobs.send("x");
  const [dead] = await take(jobs.deadLetters.consume(), 1);
  assert.deepEqual(attempts, [1, 2, 3]);
  assert.equal(dead.body, "x");
  assert.match(dead.deadReason, /no luck|deliver/i);
  assert.equal((await errors)[0].message, "no luck");
  await dead.ack();
});

test("process: Retry and Reject say what shall become of the message", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const silent = [];
  bus.addEventListener("error", ({ detail }) => silent.push(detail));
  jobs.process(({ body, attempt }) => {
    if (body === "bad") throw new Reject("broken");
    if (attempt === 1) throw new Retry({ after: "20ms", reason: "busy" });
  });
  await jobs.send("bad");
  await jobs.send("good");
  const [dead] = await take(jobs.deadLetters.consume(), 1);
  assert.equal(dead.deadReason, "broken");
  await until(async () => (await jobs.info()).ackedTotal >= 1);
  assert.equal((await jobs.info()).redeliveredTotal, 1);
  assert.deepEqual(silent, []);
});

test("process: runs as many handlers at a time as it may", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  let running = 0;
  let most = 0;
  const gate = deferred();
  const three = deferred();
  const consumer = jobs.process({ concurrency: 3, prefetch: 10 }, async () => {
    running += 1;
    most = Math.max(most, running);
    if (running === 3) three.resolve();
    await gate.promise;
    running -= 1;
  });
  await jobs.sendBatch(Array.from({ length: 8 }, (_, body) => ({ body })));
  await three.promise;
  await bus.flush();
  gate.resolve();
  await until(async () => (await jobs.info()).ackedTotal >= 8);
  assert.equal(most, 3);
  consumer.close();
});

test("process: renews the lease while the handler runs", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { lease: "2s" });
  const runs = [];
  const done = deferred();
  jobs.process(async (job) => {
    runs.push(job.attempt);
    // More than two leases long.
    await job.extend("2s");
    const end = performance.now() + 4400;
    await until(() => performance.now() > end);
    done.resolve(job.signal.aborted);
  });
  await jobs.send("slow");
  assert.equal(await done.promise, false);
  await until(async () => (await jobs.info()).ackedTotal >= 1);
  assert.deepEqual(runs, [1]);
});

test("process: close gives back what no handler has begun", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const started = deferred();
  const gate = deferred();
  const consumer = jobs.process({ prefetch: 5 }, async () => {
    started.resolve();
    await gate.promise;
  });
  await jobs.sendBatch(Array.from({ length: 5 }, (_, body) => ({ body })));
  await started.promise;
  await until(async () => (await jobs.info()).leased >= 5);
  const stopped = consumer.stop({ drain: true });
  await until(async () => (await jobs.info()).ready >= 4);
  await assert.rejects(consumer.stop({ drain: true, timeout: 5 }), { code: "TIMEOUT" });
  gate.resolve();
  await stopped;
  const info = await jobs.info();
  assert.deepEqual([info.ready, info.leased, info.ackedTotal], [4, 0, 1]);
  const again = await take(jobs.consume({ prefetch: 4 }), 4);
  assert.deepEqual(
    again.map(({ attempt }) => attempt),
    [1, 1, 1, 1],
  );
});

// Else a handler that stands still does not keep the host from hearing its renewal first.
const together = { skip: !IN_MEMORY && "an object is a process of its own" };
test("process: tells when the lease was lost while the handler ran", together, async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { lease: "50ms" });
  const errors = events(bus, "error");
  const lost = deferred();
  const consumer = jobs.process(async (job) => {
    if (job.attempt > 1) return;
    job.signal.addEventListener("abort", () => lost.resolve());
    // No timer runs meanwhile, as in a frozen page.
    const end = performance.now() + 200;
    while (performance.now() < end);
    // The node hears of something, and ends what is over, before our late renewal. One that comes
    // first would rightly keep the lease: nobody else has got the message.
    await jobs.info();
    await lost.promise;
  });
  await jobs.send("x");
  const [error] = await errors;
  assert.equal(error.code, "STALE_LEASE");
  await until(async () => (await jobs.info()).ackedTotal === 1);
  consumer.close();
});

test("process: needs a handler", async (t) => {
  const bus = await connectBus(t);
  assert.throws(() => bus.queue("q").process(), { code: "INVALID" });
  assert.throws(() => bus.queue("q").process({ concurrency: 0 }, () => {}), { code: "INVALID" });
  assert.throws(() => bus.queue("q").process({ order: 1 }, () => {}), { code: "UNSUPPORTED" });
});

test("process: a body that can't be decoded goes to the dead letters", async (t) => {
  let bad = true;
  const codec = {
    encode: () => new Uint8Array([1]),
    decode: () => {
      if (bad) throw new Error("unreadable");
      return "fine";
    },
  };
  const bus = await connectBus(t, { codec });
  const jobs = bus.queue("q");
  const errors = events(bus, "error");
  jobs.process(() => {});
  await jobs.send(1);
  assert.equal((await errors)[0].code, "PROTOCOL");
  bad = false;
  const [dead] = await take(jobs.deadLetters.consume(), 1);
  assert.match(dead.deadReason, /decoded/);
});

async function deliver(t, options) {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", options);
  await jobs.send("x");
  const [delivery] = await jobs.receive();
  return { bus, jobs, delivery };
}

test("a delivery: is settled once", async (t) => {
  const { jobs, delivery } = await deliver(t);
  await delivery.ack();
  await delivery.ack();
  await assert.rejects(delivery.retry(), { code: "STALE_LEASE" });
  await assert.rejects(delivery.extend(), { code: "STALE_LEASE" });
  assert.equal((await jobs.info()).ackedTotal, 1);
});

test("a delivery: that is released comes again, uncounted", async (t) => {
  const { jobs, delivery } = await deliver(t);
  await delivery.release();
  const [again] = await jobs.receive();
  assert.equal(again.attempt, 1);
  await again.nack({ after: 1 });
  const [third] = await jobs.receive();
  assert.equal(third.attempt, 2);
  await third.reject("enough");
  const [dead] = await jobs.deadLetters.receive();
  assert.equal(dead.deadReason, "enough");
  await assert.rejects(dead.retry({ after: "whenever" }), { code: "INVALID" });
});

test("a delivery: whose lease ended says so, and a late ack changes nothing", async (t) => {
  const { bus, jobs, delivery } = await deliver(t, { lease: "20ms" });
  const aborted = deferred();
  delivery.signal.addEventListener("abort", () => aborted.resolve());
  const [again] = await jobs.receive();
  // More than once it ends where a message is long on its way.
  assert.ok(again.attempt >= 2);
  await assert.rejects(delivery.ack(), { code: "STALE_LEASE" });
  await aborted.promise;
  assert.equal(delivery.signal.reason.code, "STALE_LEASE");
  await assert.rejects(delivery.extend(), { code: "STALE_LEASE" });
  await bus.flush();
  assert.equal((await jobs.info()).ackedTotal, 0);
});

test("a delivery: left unsettled by await using is released", async (t) => {
  const { jobs, delivery } = await deliver(t);
  await delivery[Symbol.asyncDispose]();
  const [again] = await jobs.receive();
  assert.equal(again.attempt, 1);
  await again.ack();
  await again[Symbol.asyncDispose]();
  assert.equal((await jobs.info()).ackedTotal, 1);
});

test("receive: gives nothing when the time is over", async (t) => {
  const bus = await connectBus(t);
  assert.deepEqual(await bus.queue("q").receive({ timeout: 5 }), []);
  const controller = new AbortController();
  const waiting = bus.queue("q").receive({ signal: controller.signal });
  controller.abort();
  await assert.rejects(waiting, { code: "CANCELLED" });
  await bus.queue("q").send(1);
  const info = await bus.queue("q").info();
  assert.equal(info.consumers, 0);
  assert.equal(info.ready, 1);
});

test("receive: gives at most what was asked for and leaves the rest", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  await jobs.sendBatch([1, 2, 3].map((body) => ({ body })));
  const got = await jobs.receive({ max: 2 });
  assert.deepEqual(
    got.map(({ body }) => body),
    [1, 2],
  );
  assert.equal((await jobs.info()).ready, 1);
});
