import assert from "node:assert/strict";
import { test } from "node:test";

import { all, connectBus, deferred, until } from "./helpers.mjs";

/** So late that a consumer is alone for less, however slow this machine is. */
const SLOW = { lease: "1m", slow: { after: 700, policy: "detach" } };

/** Keeps what the node tells of slow consumers. */
async function advisories(bus) {
  const told = [];
  const keep = ({ body }) => void told.push([body.number, body.detached]);
  await bus.subscribe("$tabmq.queue.slow-consumer.#", keep).ready();
  return told;
}

test("slow: a handler that takes too long is told of, and keeps what it has", async (t) => {
  const bus = await connectBus(t);
  const told = await advisories(bus);
  const jobs = bus.queue("jobs", { slow: { after: 100 } });
  const gate = deferred();
  const attempts = [];
  const consumer = jobs.process(async ({ attempt }) => {
    attempts.push(attempt);
    await gate.promise;
  });
  await jobs.sendBatch([{ body: 1 }, { body: 2 }]);
  await until(() => told.length === 1);
  assert.equal(told[0][1], false);
  gate.resolve();
  await until(() => attempts.length === 2);
  assert.deepEqual(attempts, [1, 1]);
  assert.equal(consumer.active.get(), true);
  await consumer.stop({ drain: true });
});

test("slow: what a detached handler held goes to others until it is done", async (t) => {
  const bus = await connectBus(t);
  const told = await advisories(bus);
  const jobs = bus.queue("jobs", SLOW);
  const gate = deferred();
  const lost = [];
  const got = [];
  const slow = jobs.process(async ({ body, signal }) => {
    got.push(body);
    signal.addEventListener("abort", () => lost.push(signal.reason.code));
    await gate.promise;
  });
  await jobs.send("stuck");
  await until(() => got.length === 1);
  const other = jobs.consume({ prefetch: 1 })[Symbol.asyncIterator]();
  await jobs.sendBatch([{ body: "busy" }, { body: "waits" }]);
  const { value: busy } = await other.next();
  await until(() => !slow.active.get());
  assert.deepEqual([busy.body, got, lost], ["busy", ["stuck"], ["STALE_LEASE"]]);
  await until(() => told.length);
  assert.equal(told[0][1], true);
  await busy.ack();
  const { value: stuck } = await other.next();
  assert.deepEqual([stuck.body, stuck.attempt], ["stuck", 1], "no failed attempt");
  gate.resolve();
  await until(() => slow.active.get() && got.length === 2);
  assert.deepEqual(got, ["stuck", "waits"]);
  await stuck.ack();
  await other.return();
  await slow.stop({ drain: true });
});

test("slow: an iteration gets more when it asks for the next", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs", SLOW);
  const slow = jobs.consume({ prefetch: 1 });
  const iterator = slow[Symbol.asyncIterator]();
  await jobs.sendBatch([1, 2].map((body) => ({ body })));
  const { value: first } = await iterator.next();
  const other = jobs.consume({ prefetch: 1 });
  const others = other[Symbol.asyncIterator]();
  const { value: second } = await others.next();
  await jobs.send(3);
  await until(() => !slow.active.get() || !other.active.get());
  // Both are slow; the one that was looked at first is detached, the other can't be any more.
  assert.deepEqual([slow.active.get(), other.active.get()], [false, true]);
  await assert.rejects(first.ack(), { code: "STALE_LEASE" });
  await until(() => slow.active.get());
  const { value: again } = await iterator.next();
  assert.deepEqual([again.body, again.attempt], [1, 1]);
  await again.ack();
  await second.ack().catch(() => {});
  slow.close();
  other.close();
});

test("slow: a bad option is refused, and a good one is told", async (t) => {
  const bus = await connectBus(t);
  for (const slow of [5, {}, { after: 0 }, { after: 5, policy: "kill" }, { policy: "detach" }])
    assert.throws(() => bus.queue("bad", { slow }), { code: "INVALID" });
  await bus.queue("jobs", SLOW).ready();
  const [{ options }] = await all(bus.admin.list("jobs"));
  assert.deepEqual(options.slow, SLOW.slow);
});
