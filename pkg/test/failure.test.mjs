import assert from "node:assert/strict";
import { test } from "node:test";

import { connectBus } from "./helpers.mjs";

test("deaths: a dead letter tells where, why, how often and when", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs", { maxDeliver: 2 });
  await jobs.send("x");
  const [first] = await jobs.receive();
  assert.deepEqual(first.deaths, []);
  await first.retry({ after: 0 });
  const [second] = await jobs.receive();
  assert.equal(second.number, first.number);
  await second.retry({ reason: "no luck" });
  const [dead] = await jobs.deadLetters.receive();
  assert.equal(dead.deadReason, "no luck");
  const [death] = dead.deaths;
  assert.ok(Math.abs(death.lastAt - Date.now()) < 60_000);
  assert.deepEqual(dead.deaths, [
    {
      queue: "jobs",
      reason: "deliveries-max",
      count: 1,
      attempts: 2,
      firstAt: death.firstAt,
      lastAt: death.firstAt,
      note: "no luck",
    },
  ]);
  await dead.reject();
  const [again] = await jobs.deadLetters.receive();
  assert.equal(again.deadReason, "rejected");
  assert.deepEqual(
    again.deaths.map(({ queue, reason, note }) => [queue, reason, note]),
    [
      ["jobs.dead", "rejected", undefined],
      ["jobs", "deliveries-max", "no luck"],
    ],
  );
});

test("deaths: what full queues push around in a circle is discarded", async (t) => {
  const bus = await connectBus(t);
  const full = { maxLength: 1, overflow: "dead-letter" };
  const a = bus.queue("a", { ...full, deadLetter: "b" });
  const b = bus.queue("b", { ...full, deadLetter: "a" });
  await Promise.all([a.ready(), b.ready()]);
  for (const body of [1, 2, 3]) await a.send(body);
  const [left, right] = await Promise.all([a.info(), b.info()]);
  assert.deepEqual([left.ready, right.ready], [1, 1]);
  assert.equal(left.discardedTotal + right.discardedTotal, 1);
});
