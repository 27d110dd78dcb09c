// Two tabs take from a queue that orders by key.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

/** What the tab gets now; it keeps the deliveries. */
const take = (tab, max) =>
  tab.evaluate(async (wanted) => {
    globalThis.jobs ??= globalThis.bus.queue("jobs", { order: "key", lease: "1m" });
    globalThis.held = await globalThis.jobs.receive({ max: wanted, timeout: 0 });
    return globalThis.held.map(({ body }) => body);
  }, max);
const ack = (tab) =>
  tab.evaluate(async () => {
    for (const delivery of globalThis.held) await delivery.ack();
  });

test("two tabs share keys, and one that dies holds up only its own", { folders }, async (t) => {
  const first = await openBus(t, "first");
  const second = await openBus(t, "second");
  assert.deepEqual(await take(first, 1), []);
  await first.evaluate(async () => {
    const bodies = ["a1", "a2", "b1", "b2"];
    await globalThis.jobs.sendBatch(bodies.map((body) => ({ body, key: body[0] })));
  });
  assert.deepEqual(await take(second, 1), ["a1"]);
  assert.deepEqual(await take(first, 9), ["b1"]);
  await ack(first);
  assert.deepEqual(await take(first, 9), ["b2"]);
  await ack(first);
  assert.deepEqual(await take(first, 9), []);
  await second.close();
  const next = await first.evaluate(async () => {
    const [a1] = await globalThis.jobs.receive();
    await a1.ack();
    const [a2] = await globalThis.jobs.receive();
    return [a1.body, a2.body];
  });
  assert.deepEqual(next, ["a1", "a2"]);
});

test("priorities go before age in another tab", { folders }, async (t) => {
  const first = await openBus(t, "first");
  const second = await openBus(t, "second");
  await first.evaluate(async () => {
    const ranked = globalThis.bus.queue("ranked", { priorities: 3 });
    await ranked.sendBatch([{ body: "low" }, { body: "high", priority: 2 }]);
    await ranked.send("middle", { priority: 1 });
  });
  const taken = await second.evaluate(async () => {
    const ranked = globalThis.bus.queue("ranked");
    const all = await ranked.receive({ max: 9, timeout: 0 });
    return all.map(({ body, priority }) => [body, priority]);
  });
  assert.deepEqual(taken, [["high", 2], ["middle", 1], ["low", 0]]);
});
