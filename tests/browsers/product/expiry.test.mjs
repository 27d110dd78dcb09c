// Messages that outlive their time or are taken back, in one tab and told to another.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

test("what expires is told to another tab, also by the next host", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const other = await openBus(t, "other");
  await other.evaluate(async () => {
    const keep = ({ body }) => globalThis.inbox.push([body.queue, body.into]);
    await globalThis.bus.subscribe("$tabmq.queue.expired.#", keep).ready();
    const jobs = globalThis.bus.queue("jobs", { expired: "late" });
    globalThis.failed = jobs
      .send("brief", { ttl: 300, track: true })
      .then((receipt) => receipt.processed())
      .catch(({ code }) => code);
    await jobs.send("long", { ttl: 4000 });
    await jobs.send("stays");
  });
  assert.equal(await other.evaluate(() => globalThis.failed), "EXPIRED");
  await other.waitFor(() => globalThis.inbox.length > 0);
  assert.deepEqual(await other.evaluate(() => globalThis.inbox[0]), ["jobs", "late"]);
  await host.close();
  await other.waitFor(async () => (await globalThis.bus.queue("late").info()).ready === 2);
  const left = await other.evaluate(async () => {
    const [first] = await globalThis.bus.queue("jobs").receive();
    const dead = await globalThis.bus.queue("late").receive({ max: 2 });
    return [first.body, dead.map(({ body, deadReason }) => [body, deadReason])];
  });
  assert.deepEqual(left, [
    "stays",
    [
      ["brief", "expired"],
      ["long", "expired"],
    ],
  ]);
});

test("a delayed message of one tab is taken back by another", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const other = await openBus(t, "other");
  const id = await host.evaluate(async () => {
    const receipt = await globalThis.bus.queue("jobs").send("x", { delay: "1h", track: true });
    globalThis.failed = receipt.processed().catch(({ code, data }) => [code, data.reason]);
    return receipt.id;
  });
  const cancel = (own) => globalThis.bus.queue("jobs").cancel(own);
  assert.equal(await other.evaluate(cancel, id), true);
  assert.deepEqual(await host.evaluate(() => globalThis.failed), ["DISCARDED", "cancelled"]);
  assert.equal(await other.evaluate(cancel, id), false);
});
