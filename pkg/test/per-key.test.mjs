import assert from "node:assert/strict";
import { test } from "node:test";

import { all, connectBus, until } from "./helpers.mjs";

const bodies = (messages) => messages.map(({ body }) => body);
const now = { max: 20, timeout: 0 };

test("lastValue: a key keeps the newest, at the end; what has no key stays", async (t) => {
  const bus = await connectBus(t);
  const state = bus.queue("state", { lastValue: true });
  await state.send("a1", { key: "a" });
  await state.send("none");
  await state.send("b1", { key: "b" });
  await state.sendBatch([
    { body: "a2", key: "a" },
    { body: "a3", key: "a" },
  ]);
  assert.equal((await state.info()).discardedTotal, 2);
  assert.deepEqual(bodies(await state.receive(now)), ["none", "b1", "a3"]);
});

test("lastValue: what is held is finished first, and is gone if it fails", async (t) => {
  const bus = await connectBus(t);
  const state = bus.queue("state", { lastValue: true });
  await state.send(1, { key: "a" });
  const [first] = await state.receive(now);
  await state.send(2, { key: "a" });
  await state.send(3, { key: "a" });
  assert.deepEqual(await state.receive(now), []);
  await first.ack();
  const [third] = await state.receive(now);
  assert.equal(third.body, 3);
  await state.send(4, { key: "a" });
  await third.retry({ after: "1h" });
  assert.deepEqual(bodies(await state.receive(now)), [4]);
  const { ready, delayed, discardedTotal } = await state.info();
  assert.deepEqual([ready, delayed, discardedTotal], [0, 0, 2]);
});

test("lastValue: who waits for a value hears that it was replaced", async (t) => {
  const bus = await connectBus(t);
  const state = bus.queue("state", { lastValue: true });
  const receipt = await state.send(1, { key: "a", track: true });
  const processed = receipt.processed();
  await state.send(2, { key: "a" });
  await assert.rejects(processed, { code: "DISCARDED", data: { reason: "replaced" } });
});

test("lastValue: is structural, and takes no other order and no bound", async (t) => {
  const bus = await connectBus(t);
  await bus.queue("state", { lastValue: true }).ready();
  for (const [options, reason] of [
    [{ lastValue: true, order: "fifo" }, "order"],
    [{ lastValue: true, maxPerKey: 2 }, "messages_per_key_max"],
  ]) {
    const wrong = { code: "INVALID", data: { reason } };
    await assert.rejects(bus.admin.declare("other", options), wrong);
  }
  const differs = { code: "DUPLICATE_DECLARE", data: { reason: "last_value" } };
  await assert.rejects(bus.admin.declare("state", { lastValue: false }), differs);
  const [{ options: declared }] = await all(bus.admin.list("state"));
  assert.deepEqual(declared, { lastValue: true });
});

test("maxPerKey: a send that does not fit is refused and told which key is full", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs", { maxPerKey: 2 });
  await jobs.send("a1", { key: "a" });
  const [held] = await jobs.receive(now);
  await jobs.send("a2", { key: "a" });
  const full = { code: "FULL", data: { reason: "messages_per_key_max", key: "a" } };
  await assert.rejects(jobs.send("a3", { key: "a" }), full);
  await assert.rejects(jobs.sendBatch([{ body: "b1", key: "b" }, { body: "a3", key: "a" }]), full);
  await assert.rejects(bus.transaction((tx) => tx.queue("jobs").send("a3", { key: "a" })), full);
  const odd = "a:b\n\u{1f511}";
  for (const body of [1, 2]) await jobs.send(body, { key: odd });
  await assert.rejects(jobs.send(3, { key: odd }), { data: { ...full.data, key: odd } });
  await jobs.send("free");
  await held.ack();
  await jobs.send("a3", { key: "a" });
  assert.deepEqual(bodies(await jobs.receive(now)), ["a2", 1, 2, "free", "a3"]);
});

test("maxPerKey: the oldest of the key makes room, or becomes a dead letter", async (t) => {
  const bus = await connectBus(t);
  for (const overflow of ["drop-oldest", "dead-letter"]) {
    const jobs = bus.queue(overflow, { maxPerKey: 1, overflow });
    await jobs.sendBatch(["b1", "a1", "a2", "a3"].map((body) => ({ body, key: body[0] })));
    assert.deepEqual(bodies(await jobs.receive(now)), ["b1", "a3"]);
  }
  const dead = await all(bus.queue("dead-letter").deadLetters.browse());
  assert.deepEqual(dead.map(({ body, deaths }) => [body, deaths[0].reason]), [
    ["a1", "overflow"],
    ["a2", "overflow"],
  ]);
});

test("maxPerKey: changes in place and by policy, and the options are read back", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs", { overflow: "drop-oldest" });
  for (const n of [1, 2, 3]) await jobs.send(n, { key: "a" });
  await bus.admin.policy("few", "jobs", { maxPerKey: 2 });
  assert.equal((await jobs.info()).ready, 2);
  await bus.admin.declare("jobs", { maxPerKey: 1 });
  assert.deepEqual(bodies(await jobs.receive(now)), [3]);
  const [{ options }] = await all(bus.admin.list("jobs"));
  assert.deepEqual(options, { overflow: "drop-oldest", maxPerKey: 1 });
});

test("rate: bursts, then an even pace; and it changes in place", async (t) => {
  const bus = await connectBus(t);
  const rate = { limit: 2, per: "1h" };
  const jobs = bus.queue("jobs", { rate });
  await jobs.sendBatch([1, 2, 3, 4, 5].map((body) => ({ body })));
  assert.deepEqual(bodies(await jobs.receive(now)), [1, 2]);
  assert.deepEqual(await jobs.receive(now), []);
  const [{ options }] = await all(bus.admin.list("jobs"));
  assert.deepEqual(options, { rate: { limit: 2, per: 3_600_000 } });
  await bus.admin.declare("jobs", { rate: { limit: 1, per: 20, burst: 1 } });
  const began = performance.now();
  const came = [];
  const times = [];
  jobs.process({ concurrency: 5 }, ({ body }) => {
    came.push(body);
    times.push(performance.now() - began);
  });
  await until(() => came.length === 3);
  assert.deepEqual(came, [3, 4, 5]);
  // Timers may be late, never early.
  assert.ok(times[2] >= 38, String(times));
});
