// What becomes of a message, told to the tab that sent it.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, joinBus, openBus } from "./bus.mjs";

test("what a handler returns reaches the sender, also after a reload", { folders }, async (t) => {
  const worker = await openBus(t, "worker");
  const producer = await openBus(t, "producer");
  await producer.evaluate(async () => {
    const receipt = await globalThis.bus.queue("jobs").send({ n: 20 }, { track: true });
    sessionStorage.receipt = receipt.id;
    globalThis.result = receipt.processed();
    globalThis.delivered = receipt.delivered();
  });
  await worker.evaluate(async () => {
    globalThis.consumer = globalThis.bus.queue("jobs").process(async (job) => {
      await new Promise((resolve) => (globalThis.finish = resolve));
      return { answer: job.body.n + 1 };
    });
    await globalThis.consumer.ready();
  });
  await producer.evaluate(() => globalThis.delivered);
  // It is on its way, as the producer hears, before the handler has it.
  await worker.waitFor(() => globalThis.finish, { what: "the handler runs" });
  await worker.evaluate(() => globalThis.finish());
  assert.deepEqual(await producer.evaluate(() => globalThis.result), { answer: 21 });
  await producer.reload();
  await producer.waitFor(() => globalThis.tabmq !== undefined);
  await joinBus(producer);
  const again = await producer.evaluate(() =>
    globalThis.bus.queue("jobs").receipt(sessionStorage.receipt).processed(),
  );
  assert.deepEqual(again, { answer: 21 });
});
