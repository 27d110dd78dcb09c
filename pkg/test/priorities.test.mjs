import assert from "node:assert/strict";
import { test } from "node:test";

import { connectBus } from "./helpers.mjs";

const bodies = (messages) => messages.map(({ body }) => body);
const now = { max: 10, timeout: 0 };

async function ranked(t, options) {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { priorities: 3, backoff: 0, ...options });
  await jobs.sendBatch([
    { body: "low" },
    { body: "high", priority: 2 },
    { body: "middle", priority: 1 },
  ]);
  await jobs.send("high too", { priority: 2 });
  return { bus, jobs };
}

test("priority: higher ones come first, equals in order", async (t) => {
  const { jobs } = await ranked(t);
  const all = await jobs.receive(now);
  assert.deepEqual(bodies(all), ["high", "high too", "middle", "low"]);
  assert.deepEqual(all.map(({ priority }) => priority), [2, 2, 1, 0]);
});

test("priority: is kept by retry, release, dead letters and their redrive", async (t) => {
  const { jobs } = await ranked(t);
  const seen = [];
  for (const end of ["retry", "release", "reject"]) {
    const [delivery] = await jobs.receive({ max: 1, timeout: 0 });
    seen.push(delivery.body);
    await delivery[end]();
  }
  assert.deepEqual(seen, ["high", "high", "high"]);
  const dead = [];
  for await (const { body, priority } of jobs.deadLetters.browse()) dead.push([body, priority]);
  assert.deepEqual(dead, [["high", 2]]);
  assert.equal(await jobs.deadLetters.redrive(), 1);
  assert.deepEqual(bodies(await jobs.receive(now)), ["high", "high too", "middle", "low"]);
});

test("priority: goes with transactions and files, and a key has that of its first", async (t) => {
  const { bus, jobs } = await ranked(t, { order: "key" });
  await bus.transaction((tx) => {
    const queue = tx.queue("q");
    queue.send("a1", { key: "a" });
    queue.sendBatch([
      { body: "a2", key: "a", priority: 2 },
      { body: "b1", key: "b", priority: 2 },
    ]);
  });
  const file = await bus.admin.export("q");
  assert.equal(await bus.admin.import(file, { into: "copy" }), 7);
  for (const queue of [jobs, bus.queue("copy")]) {
    const all = await queue.receive(now);
    assert.deepEqual(bodies(all), ["high", "high too", "b1", "middle", "low", "a1"]);
  }
  await bus.queue("plain").send(1);
  await assert.rejects(bus.admin.import(file, { into: "plain" }), { code: "INVALID" });
  assert.equal((await bus.queue("plain").info()).ready, 1);
});

test("priority: what waits takes its place anew when their number changes", async (t) => {
  const { bus, jobs } = await ranked(t);
  await bus.admin.declare("q", { priorities: 1 });
  assert.deepEqual(bodies(await jobs.receive({ max: 2, timeout: 0 })), ["low", "high"]);
  await bus.admin.declare("q", { priorities: 2 });
  assert.deepEqual(bodies(await jobs.receive(now)), ["middle", "high too"]);
});

test("priority: one that the queue does not have is refused, and nothing is stored", async (t) => {
  const { bus, jobs } = await ranked(t);
  for (const priority of [-1, 1.5, "1", 256, 2 ** 32]) {
    await assert.rejects(jobs.send(1, { priority }), { code: "INVALID" });
    await assert.rejects(jobs.sendBatch([{ body: 1, priority }]), { code: "INVALID" });
  }
  const wrong = { code: "INVALID", data: { reason: "priority" } };
  await assert.rejects(jobs.send(1, { priority: 3 }), wrong);
  await assert.rejects(bus.queue("plain").send(1, { priority: 1 }), wrong);
  await assert.rejects(bus.transaction((tx) => tx.queue("q").send(1, { priority: 3 })), wrong);
  await assert.rejects(bus.queue("plain").info(), { code: "NOT_FOUND" });
  assert.equal((await jobs.info()).ready, 4);
  for (const priorities of [0, -1, 1.5, "3"]) {
    assert.throws(() => bus.queue("x", { priorities }), { code: "INVALID" });
  }
  const bounds = { code: "INVALID", data: { reason: "priorities" } };
  await assert.rejects(bus.queue("x", { priorities: 33 }).ready(), bounds);
  await assert.rejects(bus.admin.policy("p", "#", { priorities: 33 }), bounds);
});
