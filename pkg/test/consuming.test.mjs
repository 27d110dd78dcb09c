import assert from "node:assert/strict";
import { test } from "node:test";

import { connectBus, deferred, events, runScript, take, until } from "./helpers.mjs";

const bodies = (messages) => messages.map(({ body }) => body);

async function collect(iterable) {
  const all = [];
  for await (const value of iterable) all.push(value);
  return all;
}

test("consume: credit by bytes holds deliveries back, and one may always come", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  for (const body of [new Uint8Array(900), new Uint8Array(900)]) await jobs.send(body);
  const consumer = jobs.consume({ prefetch: 10, prefetchBytes: 1000 });
  const [first] = await take(consumer, 1);
  assert.equal((await jobs.info()).leased, 1);
  await first.ack();
});

test("close: a consumer whose queue is not declared yet never begins", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { lease: "1m" });
  jobs.process(() => assert.fail("it is closed")).close();
  await jobs.send("kept");
  const { consumers, ready } = await jobs.info();
  assert.deepEqual({ consumers, ready }, { consumers: 0, ready: 1 });
});

test("receive: takes what is there at once, and with maxBytes no more than that", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  assert.deepEqual(await jobs.receive({ timeout: 0 }), []);
  await jobs.sendBatch([{ body: "aaaa" }, { body: "bbbb" }, { body: "cccc" }]);
  const two = await jobs.receive({ max: 3, maxBytes: 10, timeout: 0 });
  assert.deepEqual(bodies(two), ["aaaa", "bbbb"]);
  assert.deepEqual(bodies(await jobs.receive({ max: 3, timeout: 0 })), ["cccc"]);
  for (const job of two) await job.release();
  assert.equal((await jobs.info()).ready, 2);
});

test("ack: with multiple everything earlier of the consumer is done", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  await jobs.sendBatch([{ body: 1 }, { body: 2 }, { body: 3 }, { body: 4 }]);
  const [first, second, third] = await jobs.receive({ max: 4, timeout: 0 });
  await first.release();
  await third.ack(undefined, { multiple: true });
  await assert.rejects(second.retry(), { code: "STALE_LEASE" });
  const info = await jobs.info();
  assert.deepEqual([info.ackedTotal, info.leased, info.ready], [2, 1, 1]);
});

test("consume: with ack before a message is handled at most once", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const handled = [];
  const failed = events(bus, "error");
  jobs.process({ ack: "before" }, async ({ body }) => {
    handled.push([body, (await jobs.info()).leased]);
    throw new Error("handled badly");
  });
  await jobs.send(1);
  assert.equal((await failed)[0].message, "handled badly");
  assert.deepEqual(handled, [[1, 0]]);
  const info = await jobs.info();
  assert.deepEqual([info.ackedTotal, info.redeliveredTotal, info.ready], [1, 0, 0]);

  await bus.queue("other").send("one");
  const [delivery] = await take(bus.queue("other").consume({ ack: "before" }), 1);
  assert.equal(delivery.body, "one");
  assert.equal((await bus.queue("other").info()).ackedTotal, 1);
});

test("process: with ack before no lease is renewed, and no timer is left", () => {
  // A timer would keep the process for half a lease.
  const output = runScript(`
    import { connect } from "tabmq";
    const bus = await connect("ack-before");
    const jobs = bus.queue("q", { lease: "10m" });
    const handled = new Promise((resolve) => jobs.process({ ack: "before" }, resolve));
    await jobs.send(1);
    await handled;
    await bus.close();
    console.log("over");`);
  assert.equal(output, "over\n");
});

test("consume: a higher priority is served first while it has credit", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const [low, high] = [jobs.consume({ prefetch: 9 }), jobs.consume({ prefetch: 2, priority: 1 })];
  await Promise.all([low.ready(), high.ready()]);
  await jobs.sendBatch([1, 2, 3].map((body) => ({ body })));
  assert.deepEqual(bodies(await take(high, 2)), [1, 2]);
  assert.deepEqual(bodies(await take(low, 1)), [3]);
  assert.throws(() => jobs.consume({ priority: -1 }), { code: "INVALID" });
});

test("consume: headers only tells how long the body is", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  await jobs.send("12345", { headers: { kind: "text" } });
  const [seen] = await take(jobs.consume({ headersOnly: true }), 1);
  assert.deepEqual([seen.body, seen.bodyBytes, seen.headers.kind], [undefined, 6, "text"]);
  await seen.release();
  const [whole] = await jobs.receive();
  assert.deepEqual([whole.body, whole.bodyBytes], ["12345", undefined]);
});

test("singleActive: one is active, and the next when it closes", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { singleActive: true });
  const seen = [];
  const [one, two] = ["one", "two"].map((name) =>
    jobs.process({ concurrency: 9 }, ({ body }) => void seen.push([name, body])),
  );
  await until(() => one.active.get());
  await two.ready();
  assert.equal(two.active.get(), false);
  await jobs.sendBatch([1, 2, 3].map((body) => ({ body })));
  await until(() => seen.length === 3);
  one.close();
  await until(() => two.active.get());
  assert.equal(one.active.get(), false);
  await jobs.send(4);
  await until(() => seen.length === 4);
  assert.deepEqual(
    seen.map(([name]) => name),
    ["one", "one", "one", "two"],
  );
  const other = bus.queue("q", { singleActive: false });
  await assert.rejects(other.ready(), { code: "DUPLICATE_DECLARE" });
  const plain = bus.queue("plain").consume();
  await plain.ready();
  assert.equal(plain.active.get(), true);
});

test("waitForConsumers: nobody is served before all are there", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { waitForConsumers: 2 });
  await jobs.send(1);
  const one = jobs.consume();
  await one.ready();
  assert.equal((await jobs.info()).ready, 1);
  const two = jobs.consume();
  const [got] = await Promise.race([take(one, 1), take(two, 1)]);
  assert.equal(got.body, 1);
  const soon = bus.queue("soon", { waitForConsumers: 2, waitForConsumersMax: 10 });
  await soon.send(2);
  assert.equal((await take(soon.consume(), 1))[0].body, 2);
});

test("consumer.pause: nothing comes until resume", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const seen = [];
  const consumer = jobs.process(({ body }) => void seen.push(body));
  await consumer.ready();
  consumer.pause();
  assert.equal(consumer.paused, true);
  await jobs.send(1);
  assert.deepEqual([(await jobs.info()).ready, seen.length], [1, 0]);
  consumer.resume();
  await until(() => seen.length);
  assert.deepEqual(seen, [1]);
});

test("queue.pause: sends go on and nothing is delivered until resume, or for a time", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  await jobs.send(0);
  await jobs.pause();
  assert.equal((await jobs.info()).paused, true);
  await jobs.send(1);
  assert.deepEqual(await jobs.receive({ timeout: 0 }), []);
  await jobs.resume();
  assert.deepEqual(bodies(await jobs.receive({ max: 2, timeout: 0 })), [0, 1]);
  await jobs.send(2);
  await jobs.pause({ for: 30 });
  assert.deepEqual(bodies(await jobs.receive()), [2]);
  await assert.rejects(bus.queue("missing").pause(), { code: "NOT_FOUND" });
});

test("browse: looks page by page and takes nothing", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const items = Array.from({ length: 250 }, (_, body) => ({ body, headers: { n: body } }));
  await jobs.sendBatch(items);
  await jobs.send("later", { delay: "1h" });
  const [held] = await jobs.receive();
  const ready = await collect(jobs.browse());
  assert.deepEqual(
    bodies(ready),
    items.slice(1).map(({ body }) => body),
  );
  assert.ok(ready.every(({ state, number }, index) => state === "ready" && number === index + 2));
  const all = await collect(jobs.browse({ delayed: true, leased: true, headersOnly: true }));
  assert.equal(all.length, 251);
  assert.deepEqual([all[0].state, all[0].body, all[0].headers.n], ["leased", undefined, 0]);
  assert.deepEqual([all[250].state, all[250].dueAt > new Date()], ["delayed", true]);
  assert.equal((await collect(jobs.browse({ limit: 3 }))).length, 3);
  const info = await jobs.info();
  assert.deepEqual([info.ready, info.leased, info.delayed], [249, 1, 1]);
  await held.ack();
  await assert.rejects(collect(bus.queue("missing").browse()), { code: "NOT_FOUND" });
});

test("purge: discards what is there and not delivered", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  await jobs.sendBatch([1, 2, 3].map((body) => ({ body })));
  const [held] = await jobs.receive();
  const purged = jobs.purge();
  const later = jobs.send("later");
  assert.equal(await purged, 2);
  await later;
  const info = await jobs.info();
  assert.deepEqual([info.ready, info.leased, info.discardedTotal], [1, 1, 2]);
  await held.ack();
  await assert.rejects(bus.queue("missing").purge(), { code: "NOT_FOUND" });
});

test("delete: ends the consumers, and whoever uses the queue again makes it again", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { maxLength: 2 });
  await jobs.send(1);
  const consumer = jobs.consume();
  const [held] = await take(consumer, 1);
  const worker = jobs.process(() => {});
  await worker.ready();
  await jobs.send(2);
  await assert.rejects(jobs.delete({ ifUnused: true }), { code: "INVALID" });
  const empty = bus.queue("full");
  await empty.send(1);
  await assert.rejects(empty.delete({ ifEmpty: true }), { code: "INVALID" });
  const refused = events(bus, "error");
  assert.ok((await jobs.delete()) >= 1);
  assert.equal((await refused)[0].code, "NOT_FOUND");
  assert.equal(worker.closed.reason.code, "NOT_FOUND");
  await assert.rejects(held.ack(), { code: "STALE_LEASE" });
  // The options hold for the new one as well.
  await jobs.sendBatch([{ body: 1 }, { body: 2 }]);
  await assert.rejects(jobs.send(3), { code: "FULL" });
  await assert.rejects(bus.queue("missing").delete(), { code: "NOT_FOUND" });
});

test("exclusive: only its owner takes from it", async (t) => {
  const bus = await connectBus(t, { limits: { park_ms: 100 } });
  const own = bus.queue("q", { exclusive: true });
  await own.send("mine");
  assert.deepEqual(bodies(await own.receive()), ["mine"]);
  await assert.rejects(bus.queue("q", { exclusive: false }).ready(), {
    code: "DUPLICATE_DECLARE",
  });
});

test("autoDelete: a queue that nobody uses goes, but not with messages in it", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { autoDelete: 10 });
  await jobs.send(1);
  const [job] = await jobs.receive();
  await job.ack();
  await until(async () => {
    const found = await bus.queue("q").info().catch(({ code }) => code);
    return found === "NOT_FOUND";
  });
});

test("release: is no failure, and the next delivery is no second attempt", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  await jobs.send(1);
  const [first] = await jobs.receive();
  await first.release();
  const [again] = await jobs.receive();
  assert.equal(again.attempt, 1);
  await again.retry({ after: 0 });
  assert.equal((await jobs.receive())[0].attempt, 2);
});

test("a lease that runs out is told to its holder, and its late ack is refused", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { lease: 50 });
  await jobs.send(1);
  const [job] = await jobs.receive();
  const lost = deferred();
  job.signal.addEventListener("abort", lost.resolve);
  await lost.promise;
  assert.equal(job.signal.reason.code, "STALE_LEASE");
  await assert.rejects(job.ack(), { code: "STALE_LEASE" });
  // More than once it ends where a message is long on its way.
  assert.ok((await jobs.receive())[0].attempt >= 2);
});

test("stop: with drain handlers end first, and what waits goes back uncounted", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  await jobs.sendBatch([1, 2].map((body) => ({ body })));
  const [began, end] = [deferred(), deferred()];
  const consumer = jobs.process({ prefetch: 2 }, async () => {
    began.resolve();
    await end.promise;
  });
  await began.promise;
  const stopped = consumer.stop({ drain: true });
  end.resolve();
  await stopped;
  await until(async () => (await jobs.info()).leased === 0);
  const info = await jobs.info();
  assert.deepEqual([info.ackedTotal, info.ready, info.redeliveredTotal], [1, 1, 0]);
});
