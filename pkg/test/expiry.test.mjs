import assert from "node:assert/strict";
import { test } from "node:test";

import { all, connectBus, take, until } from "./helpers.mjs";

test("ttl: a message expires, and its producer and who listens are told", async (t) => {
  const bus = await connectBus(t);
  const told = bus.subscribe("$tabmq.queue.expired.#");
  await told.ready();
  const jobs = bus.queue("jobs");
  const sent = Date.now();
  const receipt = await jobs.send("brief", { ttl: 30, track: true });
  await assert.rejects(receipt.processed(), { code: "EXPIRED", data: { reason: "expired" } });
  assert.ok(Date.now() - sent >= 29, "not before its time");
  const [{ body }] = await take(told, 1);
  const { queue, number, id, into } = body;
  assert.deepEqual([queue, number, id, into], ["jobs", 1, receipt.id, undefined]);
  const { ready, discardedTotal } = await jobs.info();
  assert.deepEqual([ready, discardedTotal], [0, 1]);
});

test("ttl: of a queue and of a batch, the shorter counts, and expired keeps it", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs", { ttl: "1h", expired: "late" });
  const items = [{ body: 1 }, { body: 2, ttl: 20 }, { body: 3, ttl: "2h" }, { body: 4, ttl: 20 }];
  await jobs.sendBatch(items);
  const late = bus.queue("late");
  const got = [...(await late.receive()), ...(await late.receive())];
  assert.deepEqual(got.map(({ body, deadReason }) => [body, deadReason]), [
    [2, "expired"],
    [4, "expired"],
  ]);
  const left = await all(jobs.browse());
  const minutes = ({ expiresAt }) => Math.round((expiresAt - Date.now()) / 60_000);
  assert.deepEqual(left.map((message) => [message.body, minutes(message)]), [
    [1, 60],
    [3, 60],
  ]);
  assert.equal((await jobs.info()).deadLetteredTotal, 2);
});

test("ttl: who holds a message keeps it", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs");
  await jobs.sendBatch(["a", "b", "c"].map((body) => ({ body, ttl: 1000 })));
  const [first, second] = await jobs.receive({ max: 2 });
  await until(async () => (await jobs.info()).discardedTotal === 1);
  await first.ack();
  await second.release();
  const { ready, leased, ackedTotal, discardedTotal } = await jobs.info();
  assert.deepEqual([ready, leased, ackedTotal, discardedTotal], [0, 0, 1, 2]);
});

test("ttl: a file keeps when messages expire", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs");
  await jobs.send("long", { ttl: "1h" });
  await jobs.send("brief", { ttl: 1000 });
  const file = await bus.admin.export("jobs");
  await until(async () => (await jobs.info()).discardedTotal === 1);
  assert.equal(await bus.admin.import(file, { into: "copy" }), 2);
  const copy = bus.queue("copy");
  await until(async () => (await copy.info()).discardedTotal === 1);
  const [left] = await all(copy.browse());
  const [original] = await all(jobs.browse());
  assert.equal(left.body, "long");
  assert.ok(Math.abs(left.expiresAt - original.expiresAt) < 1000);
});

test("ttl: what can not be followed is refused", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs");
  for (const ttl of [0, "0s", -1, 0.2, NaN, Infinity, "soon", null, new Date()]) {
    const refused = { code: "INVALID", message: /"ttl" (must|is no)/ };
    await assert.rejects(jobs.send("x", { ttl }), refused);
    await assert.rejects(jobs.sendBatch([{ body: "x", ttl }]), refused);
    assert.throws(() => bus.queue("jobs", { ttl }), refused);
  }
  assert.throws(() => bus.queue("jobs", { expired: 5 }), { code: "INVALID" });
  for (const expired of ["jobs", ""])
    await assert.rejects(bus.queue("jobs", { expired }).send("x"), { code: "INVALID" });
  assert.equal((await all(bus.admin.list())).length, 0, "nothing was made");
});

test("cancel: takes back what waits, also for its time, and its producer hears", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs");
  const later = await jobs.send(1, { delay: "1h", id: "order-7", track: true });
  const [plain, held] = await jobs.sendBatch([{ body: 2 }, { body: 3, track: true }]);
  assert.equal(await jobs.cancel("order-7"), true);
  await assert.rejects(later.processed(), { code: "DISCARDED", data: { reason: "cancelled" } });
  assert.equal(await jobs.cancel("order-7"), false);
  assert.equal(await jobs.cancel(plain.id), true);
  const [delivery] = await jobs.receive();
  assert.equal(delivery.id, held.id);
  assert.equal(await jobs.cancel(held.id), false, "who holds it keeps it");
  await delivery.ack();
  assert.equal(await jobs.cancel(held.id), false);
  for (const id of ["", 5, undefined, null])
    await assert.rejects(jobs.cancel(id), { code: "INVALID" });
  await assert.rejects(bus.queue("nowhere").cancel("x"), { code: "NOT_FOUND" });
  const { discardedTotal } = await jobs.info();
  assert.equal(discardedTotal, 2);
});
