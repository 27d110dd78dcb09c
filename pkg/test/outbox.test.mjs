// The outbox where there is no other tab: in memory, with the same verbs.
import assert from "node:assert/strict";
import { test } from "node:test";

import { connectBus, notAtHub, openBus } from "./helpers.mjs";

const NONE = { accepted: 0, sent: 0, refused: 0, inDoubt: 0, quarantined: 0 };

test("outbox: a send that is answered leaves nothing there", async (t) => {
  const bus = await connectBus(t, { limits: { outbox_after_ms: 0 } });
  const seen = [];
  const leave = bus.outbox.subscribe((counts) => seen.push(counts));
  const jobs = bus.queue("jobs");
  await Promise.all(Array.from({ length: 20 }, (_, index) => jobs.send(index)));
  await bus.flush();
  assert.deepEqual(await bus.outbox.entries(), []);
  assert.deepEqual(bus.outbox.get(), NONE);
  leave();
  const bodies = [];
  for await (const { body } of jobs.browse()) bodies.push(body);
  assert.deepEqual(bodies, Array.from({ length: 20 }, (_, index) => index));
});

const waits = notAtHub("a send is confirmed by this device, and then nobody waits");
test("outbox: a refusal goes to who waits for it, and nothing else tells", waits, async (t) => {
  const bus = await connectBus(t, { limits: { outbox_after_ms: 0 } });
  bus.addEventListener("returned", () => assert.fail("somebody waits"));
  const jobs = bus.queue("jobs", { maxLength: 1 });
  await jobs.send(1);
  await assert.rejects(jobs.send(2), { code: "FULL" });
  assert.deepEqual(await bus.outbox.entries(), []);
});

test("outbox: what is not there can't be retried or discarded", async (t) => {
  const bus = await connectBus(t);
  for (const verb of ["retry", "discard"]) {
    await assert.rejects(bus.outbox[verb]("absent"), { code: "NOT_FOUND" });
    await assert.rejects(bus.outbox[verb](5), { code: "INVALID" });
  }
  assert.equal(await bus.outbox.discardOthers(), 0);
  await bus.close();
  await assert.rejects(bus.outbox.entries(), { code: "CLOSED" });
  assert.throws(() => bus.outbox.subscribe(() => {}), { code: "CLOSED" });
});

test("supersede: of what no host has yet the last one is sent", async (t) => {
  const bus = openBus(t);
  const jobs = bus.queue("jobs");
  const send = (body, supersede) => jobs.send(body, { supersede });
  const sends = [send(1, "a"), send(2, "b"), send(3), send(4, "a"), jobs.send(5)];
  const ends = await Promise.allSettled(sends);
  assert.deepEqual(
    ends.map(({ reason }) => reason?.data.reason),
    ["superseded", undefined, undefined, undefined, undefined],
  );
  assert.equal(ends[0].reason.code, "DISCARDED");
  await send(6, "a");
  const bodies = [];
  for await (const { body } of jobs.browse()) bodies.push(body);
  assert.deepEqual(bodies, [2, 3, 4, 5, 6]);
  await assert.rejects(send(7, "x".repeat(256)), { code: "TOO_LARGE" });
  await assert.rejects(send(7, 7), { code: "INVALID" });
  await assert.rejects(jobs.sendBatch([{ body: 8, supersede: "a" }]), { code: "INVALID" });
  await assert.rejects(jobs.prepare(9, { supersede: "a" }), { code: "INVALID" });
});
