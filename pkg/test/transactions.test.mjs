import assert from "node:assert/strict";
import { test } from "node:test";

import { connectBus, events, take, until } from "./helpers.mjs";

const bodies = async (queue, count) =>
  (await take(queue.consume({ prefetch: count }), count)).map(({ body }) => body);

const one = async (queue) => (await queue.receive())[0];

test("tx: what a handler stages is stored with its return", async (t) => {
  const bus = await connectBus(t);
  const [input, output, log] = ["in", "out", "log"].map((name) => bus.queue(name));
  const staged = [];
  input.process((job) => {
    staged.push(job.tx.queue("out").send(job.body * 2, { headers: { h: 1 }, track: true }));
    staged.push(...job.tx.queue("log").sendBatch([{ body: "a", id: "mine" }, { body: "b" }]));
    assert.deepEqual(
      staged.map(({ id }) => id),
      [undefined, "mine", undefined],
    );
    assert.throws(() => staged[0].receipt(), { code: "INVALID" });
  });
  await input.send(21);
  const result = await one(output);
  assert.deepEqual([result.body, result.headers], [42, { h: 1 }]);
  assert.deepEqual(await bodies(log, 2), ["a", "b"]);
  await until(() => staged[0].id);
  assert.equal(staged[0].id, result.id);
  assert.deepEqual(
    staged.map(({ id }) => id.replace(/^\d+-\d+-/, "")),
    ["0", "mine", "2"],
  );
  await result.ack("done");
  assert.equal(await staged[0].receipt().processed(), "done");
  assert.equal((await input.info()).ackedTotal, 1);
});

test("tx: what a handler staged before it threw is dropped", async (t) => {
  const bus = await connectBus(t);
  const input = bus.queue("in", { backoff: 1 });
  bus.addEventListener("error", () => {});
  input.process((job) => {
    job.tx.queue("out").send(job.attempt);
    if (job.attempt < 3) throw new Error("not yet");
  });
  await input.send("x");
  assert.deepEqual(await bodies(bus.queue("out"), 1), [3]);
  assert.equal((await bus.queue("out").info()).sentTotal, 1);
});

test("tx: only an acknowledgement stores it", async (t) => {
  const bus = await connectBus(t);
  const input = bus.queue("in", { backoff: 1 });
  await input.sendBatch([{ body: "retry" }, { body: "reject" }, { body: "release" }]);
  const got = await input.receive({ max: 3 });
  for (const delivery of got) {
    const { tx } = delivery;
    tx.queue("out").send(delivery.body);
    await delivery[delivery.body]();
    assert.throws(() => delivery.tx, { code: "STALE_LEASE" });
    assert.throws(() => tx.queue("out").send(1), { code: "INVALID" });
  }
  await assert.rejects(bus.queue("out").info(), { code: "NOT_FOUND" });
});

test("tx: a refused message refuses the acknowledgement, and the delivery stays out", async (t) => {
  const bus = await connectBus(t);
  const [input, small] = [bus.queue("in"), bus.queue("small", { maxLength: 1 })];
  await small.send("full");
  await input.send("x");
  const delivery = await one(input);
  delivery.tx.queue("small").send(1);
  delivery.tx.queue("other").send(2);
  await assert.rejects(delivery.ack(), { code: "FULL", data: { reason: "messages_max" } });
  assert.equal((await input.info()).leased, 1);
  await assert.rejects(bus.queue("other").info(), { code: "NOT_FOUND" });
  await (await one(small)).ack();
  await delivery.ack();
  assert.equal((await one(small)).body, 1);
  assert.equal((await bus.queue("other").info()).ready, 1);
});

test("tx: a handler whose messages are refused counts as failed", async (t) => {
  const bus = await connectBus(t);
  const input = bus.queue("in", { maxDeliver: 2, backoff: 1 });
  await bus.queue("small", { maxLength: 1 }).send("full");
  const told = events(bus, "error", 2);
  input.process((job) => void job.tx.queue("small").send(job.body));
  await input.send("x");
  assert.deepEqual(
    (await told).map(({ code }) => code),
    ["FULL", "FULL"],
  );
  const dead = await one(input.deadLetters);
  assert.match(dead.deaths[0].note, /FULL/);
});

test("tx: a delivery that is another's by now stores nothing", async (t) => {
  const bus = await connectBus(t);
  const input = bus.queue("in", { lease: 1000 });
  await input.send("x");
  const late = await one(input);
  late.tx.queue("out").send("late");
  await new Promise((resolve) => late.signal.addEventListener("abort", resolve));
  await assert.rejects(late.ack(), { code: "STALE_LEASE" });
  const again = await one(input);
  again.tx.queue("out").send("again");
  await again.ack();
  assert.deepEqual(await bodies(bus.queue("out"), 1), ["again"]);
  assert.equal((await bus.queue("out").info()).sentTotal, 1);
});

test("tx: blobs travel with it", async (t) => {
  const bus = await connectBus(t);
  await bus.queue("in").send(0);
  const delivery = await one(bus.queue("in"));
  delivery.tx.queue("out").send(new Blob(["a"]));
  delivery.tx.queue("out").send(2);
  await delivery.ack();
  const [first, second] = await take(bus.queue("out").consume({ prefetch: 2 }), 2);
  assert.deepEqual([await first.body.text(), second.body], ["a", 2]);
});

test("transaction: several queues and deliveries, and what the builder returns", async (t) => {
  const bus = await connectBus(t);
  const input = bus.queue("in");
  await input.sendBatch([{ body: 1 }, { body: 2, track: true }]);
  const got = await input.receive({ max: 2 });
  got[0].tx.queue("own").send("own");
  const staged = await bus.transaction((tx) => {
    tx.ack(got[0]);
    tx.ack(got[1], "value");
    tx.queue("b").send("y");
    return tx.queue("a").send("x");
  });
  assert.match(staged.receipt().id, /^\d+-\d+-1$/);
  assert.equal(staged.receipt().id, staged.id);
  assert.deepEqual(await bodies(bus.queue("a"), 1), ["x"]);
  assert.deepEqual(await bodies(bus.queue("b"), 1), ["y"]);
  assert.deepEqual(await bodies(bus.queue("own"), 1), ["own"]);
  assert.equal((await input.info()).ackedTotal, 2);
  assert.equal(await input.receipt(got[1].id).processed(), "value");
  await got[0].ack();
  await assert.rejects(got[0].release(), { code: "STALE_LEASE" });
});

test("transaction: all or nothing, and nothing at all is nothing", async (t) => {
  const bus = await connectBus(t);
  await bus.queue("small", { maxLength: 1 }).send("full");
  const build = (tx) => {
    tx.queue("a").send(1);
    tx.queue("small").send(2);
  };
  await assert.rejects(bus.transaction(build), { code: "FULL" });
  await assert.rejects(bus.queue("a").info(), { code: "NOT_FOUND" });
  assert.equal(await bus.transaction(() => 7), 7);
  const strict = { durability: "strict" };
  await assert.rejects(
    bus.transaction((tx) => void tx.queue("a").send(1), strict),
    { code: "UNSUPPORTED" },
  );
});

test("transaction: refuses what it can't do", async (t) => {
  const bus = await connectBus(t);
  await bus.queue("in").send(0);
  const delivery = await one(bus.queue("in"));
  let kept;
  const bad = [
    [async (tx) => void tx.queue("a").send(1), "INVALID"],
    [() => Promise.reject(new Error("late")), "INVALID"],
    [(tx) => tx.ack({}), "INVALID"],
    [(tx) => (tx.ack(delivery), tx.ack(delivery)), "INVALID"],
    [(tx) => tx.queue("a").send(1, { confirm: "processed" }), "INVALID"],
    [(tx) => tx.queue("a").send(1, { timeout: 5 }), "INVALID"],
    [(tx) => tx.queue("a").send(1, { priority: 256 }), "INVALID"],
    [(tx) => tx.queue("a").sendBatch("x"), "INVALID"],
    [(tx) => tx.queue("a").send(() => {}), "UNENCODABLE"],
    [(tx) => void tx.queue("a").send(new Uint8Array(2 << 20)), "TOO_LARGE"],
    [(tx) => void tx.queue("").send(1), "INVALID"],
    [(tx) => tx.stream("s"), "UNSUPPORTED"],
    [(tx) => tx.advance(), "UNSUPPORTED"],
    [(tx) => void (kept = tx), undefined],
    ["x", "INVALID"],
  ];
  for (const [build, code] of bad) {
    const done = bus.transaction(build);
    if (code) await assert.rejects(done, { code }, String(build));
    else await done;
  }
  assert.throws(() => kept.queue("a").send(1), { code: "INVALID" });
  assert.throws(() => kept.ack(delivery), { code: "INVALID" });
  await assert.rejects(bus.transaction(() => 1, { confirm: "device" }), { code: "INVALID" });
  await assert.rejects(bus.queue("a").info(), { code: "NOT_FOUND" });
  assert.equal((await bus.queue("in").info()).leased, 1);
});

test("transaction: a chain of processors gives each result once", async (t) => {
  const bus = await connectBus(t);
  const stages = ["one", "two", "three"].map((name) => bus.queue(name, { lease: 2000 }));
  bus.addEventListener("error", () => {});
  stages[0].process({ concurrency: 4 }, (job) => void job.tx.queue("two").send(job.body));
  stages[1].process({ concurrency: 4 }, (job) => void job.tx.queue("three").send(job.body));
  const all = Array.from({ length: 40 }, (_, index) => index);
  await stages[0].sendBatch(all.map((body) => ({ body })));
  const got = await bodies(stages[2], all.length);
  assert.deepEqual(
    got.sort((a, b) => a - b),
    all,
  );
});
