// What becomes of messages that fail, told to one tab and done by another.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

test("one tab sees the dead letters of another and moves them back", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const other = await openBus(t, "other");
  await other.evaluate(async () => {
    const keep = ({ topic, body }) => globalThis.inbox.push([topic, body.note ?? body.moved]);
    await globalThis.bus.subscribe("$tabmq.queue.#", keep).ready();
  });
  await host.evaluate(async () => {
    globalThis.jobs = globalThis.bus.queue("jobs", { maxDeliver: 2, backoff: 1 });
    globalThis.seen = [];
    globalThis.broken = true;
    globalThis.consumer = globalThis.jobs.process(({ body, attempt, deaths }) => {
      if (globalThis.broken) throw new globalThis.tabmq.Retry({ reason: "broken" });
      globalThis.seen.push([body, attempt, deaths.length]);
    });
    await globalThis.consumer.ready();
    for (const body of ["one", "two"]) await globalThis.jobs.send(body);
  });
  await other.waitFor(
    (topic) => globalThis.inbox.filter(([told]) => told === topic).length === 2,
    { args: ["$tabmq.queue.dead-lettered.jobs"] },
  );
  const letters = await other.evaluate(async () => {
    const found = [];
    const told = ({ queue, reason, attempts, note }) => [queue, reason, attempts, note];
    for await (const { body, deaths } of globalThis.bus.queue("jobs").deadLetters.browse()) {
      found.push([body, deaths.map(told)]);
    }
    return found;
  });
  const death = [["jobs", "deliveries-max", 2, "broken"]];
  assert.deepEqual(letters, [["one", death], ["two", death]]);
  await host.evaluate(() => {
    globalThis.broken = false;
  });
  assert.equal(await other.evaluate(() => globalThis.bus.queue("jobs").redrive()), 2);
  await host.waitFor(() => globalThis.seen.length === 2);
  assert.deepEqual(await host.evaluate(() => globalThis.seen), [["one", 1, 1], ["two", 1, 1]]);
  const dead = await other.evaluate(() => globalThis.bus.queue("jobs.dead").info());
  assert.deepEqual([dead.ready, dead.leased], [0, 0]);
});

test("a redrive goes on when the tab that hosts is gone", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const other = await openBus(t, "other");
  await other.evaluate(async () => {
    const jobs = globalThis.bus.queue("jobs");
    await jobs.sendBatch(Array.from({ length: 20 }, (_, body) => ({ body })));
    for (const delivery of await jobs.receive({ max: 20 })) await delivery.reject("later");
    globalThis.moved = jobs.redrive({ rate: 10 });
  });
  await other.waitFor(async () => (await globalThis.bus.queue("jobs").info()).ready >= 5);
  await host.close();
  assert.equal(await other.evaluate(() => globalThis.moved), 20);
  const bodies = await other.evaluate(async () => {
    const got = await globalThis.bus.queue("jobs").receive({ max: 20 });
    return got.map(({ body }) => body);
  });
  assert.deepEqual(bodies, Array.from({ length: 20 }, (_, body) => body));
});
