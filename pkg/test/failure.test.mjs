import assert from "node:assert/strict";
import { test } from "node:test";

import { connectBus, take, until } from "./helpers.mjs";

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

async function bury(queue, bodies, options) {
  await queue.sendBatch(bodies.map((body) => ({ body, ...options?.(body) })));
  for (const delivery of await queue.receive({ max: bodies.length })) await delivery.reject("no");
}

async function bodiesOf(queue, max) {
  const got = await queue.receive({ max, timeout: 50 });
  return got.map(({ body }) => body);
}

test("redrive: moves all back, in order and with their history", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs");
  await bury(jobs, [1, 2, 3]);
  assert.equal(await jobs.redrive(), 3);
  const back = await jobs.receive({ max: 3 });
  assert.deepEqual(
    back.map(({ body, attempt, deadReason, deaths }) => [body, attempt, deadReason, deaths.length]),
    [1, 2, 3].map((body) => [body, 1, undefined, 1]),
  );
  assert.equal(await jobs.redrive(), 0);
  await back[0].reject("still no");
  const [dead] = await jobs.deadLetters.receive();
  assert.deepEqual([dead.deaths[0].count, dead.deaths[0].note], [2, "still no"]);
});

test("redrive: takes what its filter names", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs");
  await bury(jobs, [1, 2, 3, 4], (body) => ({
    headers: { shop: body % 2 ? "odd" : "even", price: 1.5, open: true },
    ...(body === 3 && { id: "third" }),
  }));
  const seen = [];
  for await (const { id } of jobs.deadLetters.browse()) seen.push(id);
  assert.equal(await jobs.redrive({ where: { reason: "overflow" } }), 0);
  assert.equal(await jobs.redrive({ where: { headers: { shop: "even", price: 1.5 } }, max: 1 }), 1);
  assert.deepEqual(await bodiesOf(jobs, 4), [2]);
  assert.equal(await jobs.redrive({ where: { ids: [seen[0], "third"], reason: "rejected" } }), 2);
  assert.equal(await jobs.redrive({ where: { headers: { open: false } } }), 0);
  await bus.queue("elsewhere").ready();
  assert.equal(await jobs.redrive({ into: "elsewhere" }), 1);
  assert.deepEqual(await bodiesOf(bus.queue("elsewhere"), 1), [4]);
});

test("redrive: many queues may share their dead letters", async (t) => {
  const bus = await connectBus(t);
  const [a, b] = ["a", "b"].map((name) => bus.queue(name, { deadLetter: "graves" }));
  await bury(a, [1]);
  await bury(b, [2, 3]);
  assert.equal(await bus.queue("a").redrive(), 1);
  assert.equal(await a.deadLetters.redrive({ where: { queue: "a" } }), 0);
  assert.equal(await a.deadLetters.redrive(), 2);
  assert.deepEqual(await bodiesOf(b, 2), [2, 3]);
});

test("redrive: goes at its rate, and a signal stops it", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs");
  await bury(jobs, [1, 2, 3, 4, 5]);
  const start = performance.now();
  assert.equal(await jobs.redrive({ rate: 20, max: 3 }), 3);
  assert.ok(performance.now() - start >= 80);
  const controller = new AbortController();
  const slow = jobs.redrive({ rate: 0.01, signal: controller.signal });
  await until(async () => (await jobs.info()).ready === 4);
  controller.abort();
  await assert.rejects(slow, { code: "CANCELLED", maybeExecuted: true });
  assert.equal(await jobs.redrive(), 1);
});

test("redrive: refuses what it can't follow", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs");
  await assert.rejects(jobs.redrive(), { code: "NOT_FOUND" });
  await jobs.send(1);
  assert.equal(await jobs.redrive(), 0);
  await assert.rejects(jobs.redrive({ into: "nowhere" }), {
    code: "NOT_FOUND",
    data: { reason: "into" },
  });
  await assert.rejects(jobs.deadLetters.redrive(), { code: "NOT_FOUND" });
  const discards = bus.queue("discards", { deadLetter: false });
  await assert.rejects(discards.redrive(), { code: "INVALID" });
  for (const options of [
    { rate: 0 },
    { max: 0 },
    { where: { reason: "bad luck" } },
    { where: { ids: "x" } },
    { where: { headers: { a: {} } } },
    { where: { queue: "jobs" } },
    { where: { body: 1 } },
    { order: 1 },
  ]) {
    await assert.rejects(jobs.redrive(options), { code: "INVALID" }, JSON.stringify(options));
  }
});

test("advisories: tell what happens to queues, whatever the codec of the bus", async (t) => {
  const codec = {
    encode: (value) => new TextEncoder().encode(JSON.stringify(value)),
    decode: (bytes) => JSON.parse(new TextDecoder().decode(bytes)),
  };
  const bus = await connectBus(t, { codec });
  const everything = [];
  await bus.subscribe("#", ({ topic }) => everything.push(topic)).ready();
  const heard = bus.subscribe("$tabmq.queue.#");
  await heard.ready();
  const told = take(heard, 3);
  const jobs = bus.queue("jobs", { maxLength: 2 });
  await bury(jobs, [1]);
  await jobs.redrive();
  await jobs.send(2);
  await assert.rejects(jobs.send(3), { code: "FULL" });
  const [dead, redriven, full] = await told;
  assert.deepEqual(
    [dead, redriven, full].map(({ topic }) => topic),
    [
      "$tabmq.queue.dead-lettered.jobs",
      "$tabmq.queue.redriven.jobs.dead",
      "$tabmq.queue.full.jobs",
    ],
  );
  const { at, number, ...body } = dead.body;
  assert.ok(Math.abs(at - Date.now()) < 60_000);
  assert.ok(number > 0);
  assert.deepEqual(body, { queue: "jobs", into: "jobs.dead", reason: "rejected", note: "no" });
  assert.equal(redriven.body.moved, 1);
  assert.equal(full.body.limit, "messages_max");
  assert.equal(dead.publisher, "0".repeat(32));
  assert.deepEqual(everything, []);
});

test("advisories: a lost lease names its holder, and only the node may speak there", async (t) => {
  const bus = await connectBus(t);
  const heard = bus.subscribe("$tabmq.queue.lease-expired.jobs");
  await heard.ready();
  const told = take(heard, 1);
  const jobs = bus.queue("jobs", { lease: "20ms" });
  await jobs.send(1);
  const [delivery] = await jobs.receive();
  const [{ body }] = await told;
  assert.deepEqual([body.number, body.attempt, body.client], [delivery.number, 1, bus.peer.id]);
  await assert.rejects(bus.publish("$tabmq.queue.full.jobs", 1), {
    code: "INVALID",
    data: { reason: "topic" },
  });
});
