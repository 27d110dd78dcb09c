// Two tabs share queues that bound what they keep of a key, and how often they are served.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

/** What the tab gets now; it keeps the deliveries. */
const take = (tab, queue, options = {}) =>
  tab.evaluate(
    async ([name, declared]) => {
      globalThis.held = await globalThis.bus
        .queue(name, declared)
        .receive({ max: 9, timeout: 0 });
      return globalThis.held.map(({ body }) => body);
    },
    [queue, options],
  );

test("two tabs share the last value of each key", { folders }, async (t) => {
  const first = await openBus(t, "first");
  const second = await openBus(t, "second");
  const options = { lastValue: true };
  await first.evaluate(async () => {
    const state = globalThis.bus.queue("state", { lastValue: true });
    for (const body of ["a1", "b1", "a2"]) await state.send(body, { key: body[0] });
  });
  assert.deepEqual(await take(second, "state", options), ["b1", "a2"]);
  await first.evaluate(async () => {
    const state = globalThis.bus.queue("state");
    for (const body of ["a3", "a4", "c1"]) await state.send(body, { key: body[0] });
  });
  // What the other tab holds is finished first; it dies with it, and the newer value comes.
  assert.deepEqual(await take(first, "state", options), ["c1"]);
  await second.close();
  const next = await first.evaluate(async () => {
    const jobs = globalThis.bus.queue("state");
    const came = [];
    while (came.length < 2) came.push((await jobs.receive({ max: 1 }))[0].body);
    return [...came, (await jobs.info()).discardedTotal];
  });
  assert.deepEqual(next.slice(0, 2).sort(), ["a4", "b1"]);
  // a1 and a3 were replaced, and a2 went when it came back.
  assert.equal(next[2], 3);
});

test("a key that is full is named to another tab", { folders }, async (t) => {
  const first = await openBus(t, "first");
  const second = await openBus(t, "second");
  await first.evaluate(async () => {
    await globalThis.bus.queue("few", { maxPerKey: 1 }).send(1, { key: "k:1" });
  });
  const refused = await second.evaluate(() =>
    globalThis.bus
      .queue("few")
      .send(2, { key: "k:1" })
      .then(
        () => "stored",
        ({ code, data }) => [code, data],
      ),
  );
  assert.deepEqual(refused, ["FULL", { reason: "messages_per_key_max", key: "k:1" }]);
});

test("a rate holds over two tabs and the next host", { folders }, async (t) => {
  const first = await openBus(t, "first");
  const second = await openBus(t, "second");
  const options = { rate: { limit: 2, per: "1h" } };
  await first.evaluate(async () => {
    const paced = globalThis.bus.queue("paced", { rate: { limit: 2, per: "1h" } });
    await paced.sendBatch([1, 2, 3, 4, 5].map((body) => ({ body })));
  });
  assert.deepEqual(await take(first, "paced", options), [1, 2]);
  assert.deepEqual(await take(second, "paced", options), []);
  await first.close();
  await second.evaluate(() => globalThis.bus.flush());
  assert.deepEqual(await take(second, "paced", options), []);
  const rest = await second.evaluate(async () => {
    await globalThis.bus.admin.declare("paced", { rate: { limit: 50, per: "1s" } });
    const bodies = [];
    while (bodies.length < 5) {
      const [delivery] = await globalThis.bus.queue("paced").receive({ max: 1 });
      bodies.push(delivery.body);
      await delivery.ack();
    }
    return bodies.sort();
  });
  assert.deepEqual(rest, [1, 2, 3, 4, 5]);
});
