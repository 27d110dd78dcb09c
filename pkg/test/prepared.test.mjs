import assert from "node:assert/strict";
import { test } from "node:test";

import { connectBus, HOME, until } from "./helpers.mjs";

test("prepare: nobody gets a message before its commit, and nobody one rolled back", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const sent = await jobs.prepare({ n: 1n }, { headers: { a: 1 } });
  const dropped = await jobs.prepare("dropped");
  await jobs.send("before");
  const { ready, prepared, sentTotal } = await jobs.info();
  assert.deepEqual([ready, prepared, sentTotal], [1, 2, 1]);
  const seen = [];
  for await (const { body } of jobs.browse({ delayed: true, leased: true })) seen.push(body);
  assert.deepEqual(seen, ["before"]);
  assert.equal(await dropped.rollback(), undefined);
  const receipt = await sent.commit();
  assert.equal(receipt.id, sent.id);
  assert.equal(receipt.duplicate, false);
  assert.equal(receipt.stored.at, HOME);
  await jobs.send("after");
  const found = await jobs.receive({ max: 9 });
  assert.deepEqual(
    found.map(({ body }) => body),
    ["before", { n: 1n }, "after"],
  );
  assert.deepEqual([found[1].id, found[1].headers], [sent.id, { a: 1 }]);
  assert.equal((await jobs.info()).prepared, 0);
});

test("prepare: a decision is made once, and told to whoever wants the other thing", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const sent = await jobs.prepare("sent");
  const gone = await jobs.prepare("gone", { id: "own" });
  await sent.commit();
  await gone.rollback();
  for (const again of [sent, jobs.prepared(sent.id)]) {
    assert.equal((await again.commit()).id, sent.id);
    await assert.rejects(again.rollback(), { code: "NOT_FOUND", data: { reason: "committed" } });
  }
  for (const again of [gone, jobs.prepared("own")]) {
    await again.rollback();
    await assert.rejects(again.commit(), { code: "DISCARDED", data: { reason: "rollback" } });
  }
  await assert.rejects(jobs.prepared("never").commit(), { code: "NOT_FOUND" });
  await assert.rejects(bus.queue("none").prepared("x").rollback(), { code: "NOT_FOUND" });
  assert.throws(() => jobs.prepared(""), { code: "INVALID" });
  await assert.rejects(jobs.prepare("x", { checkAfter: 0 }), { code: "INVALID" });
  assert.throws(() => jobs.onCheck(), { code: "INVALID" });
  await assert.rejects(sent.commit({ delay: 1 }), { code: "INVALID" });
});

test("prepare: its receipt tells what the handler returned", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const tracked = await jobs.prepare(2, { track: true });
  const waited = await jobs.prepare(3, { confirm: "processed" });
  const plain = await jobs.prepare(4);
  jobs.process(({ body }) => body * 10);
  const receipt = await tracked.commit();
  assert.equal(await receipt.processed(), 20);
  assert.equal(await (await waited.commit()).processed(), 30);
  const untracked = await plain.commit();
  await assert.rejects(untracked.processed(), { code: "INVALID" });
  const elsewhere = await jobs.prepared(tracked.id).commit();
  assert.equal(await elsewhere.processed(), 20);
});

test("prepare: an id counts from the commit on, and one of an id is one", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { dedupe: "1m" });
  await (await jobs.prepare("a", { id: "a" })).rollback();
  const first = await jobs.prepare("b", { id: "a" });
  const same = await jobs.prepare("c", { id: "a" });
  assert.equal((await jobs.info()).prepared, 1);
  assert.equal((await first.commit()).duplicate, false);
  assert.equal((await same.commit()).duplicate, false);
  assert.equal((await jobs.send("d", { id: "a" })).duplicate, true);
  const late = await (await jobs.prepare("e", { id: "a" })).commit();
  const [found, ...more] = await jobs.receive({ max: 9 });
  assert.deepEqual([found.body, more.length], ["b", 0]);
  assert.equal(late.duplicateOf, found.number);
});

test("prepare: takes up room, so its commit does not need any", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { maxLength: 1 });
  const prepared = await jobs.prepare("half");
  await assert.rejects(jobs.send("more"), { code: "FULL" });
  await prepared.commit();
  assert.equal((await jobs.receive())[0].body, "half");
});

test("prepare: delay, priority and interceptors are as for a send", async (t) => {
  const bus = await connectBus(t);
  bus.use({ outgoing: (message) => void (message.headers.by = message.kind) });
  const jobs = bus.queue("q", { priorities: 2 });
  const late = await jobs.prepare("late", { delay: "1h" });
  const low = await jobs.prepare("low");
  const high = await jobs.prepare("high", { priority: 1 });
  await late.commit();
  await low.commit();
  await high.commit();
  assert.equal((await jobs.info()).delayed, 1);
  const found = await jobs.receive({ max: 9 });
  assert.deepEqual(
    found.map(({ body, headers }) => [body, headers.by]),
    [
      ["high", "send"],
      ["low", "send"],
    ],
  );
  await assert.rejects(jobs.prepare("x", { priority: 2 }), { code: "INVALID" });
});

test("onCheck: is asked about a message that nobody decided about, until it knows", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const errors = [];
  bus.addEventListener("error", ({ detail }) => errors.push(detail.message));
  const verdicts = ["unknown", "never heard of", new Error("down"), "commit"];
  const asked = [];
  const checker = jobs.onCheck((message) => {
    const verdict = verdicts[asked.push(message) - 1];
    if (verdict instanceof Error) throw verdict;
    return verdict;
  });
  await checker.ready();
  assert.equal(checker.queue, "q");
  const prepared = await jobs.prepare({ order: 7 }, { checkAfter: 200, headers: { a: 1 } });
  const [found] = await jobs.receive();
  assert.deepEqual([found.body, found.id], [{ order: 7 }, prepared.id]);
  const told = asked.map(({ body, id, checks, headers }) => [body, id, checks, headers]);
  const each = (checks) => [{ order: 7 }, prepared.id, checks, { a: 1 }];
  assert.deepEqual(told, [each(1), each(2), each(3), each(4)]);
  assert.ok(asked[0].storedAt instanceof Date);
  assert.equal(asked[0].sender, bus.peer.id);
  assert.equal(errors.length, 2);
  await checker.stop();
  const other = await jobs.prepare("other", { checkAfter: 1 });
  await other.rollback();
  assert.equal(asked.length, 4);
});

test("onCheck: one that does not help ends with a rollback, which is told", async (t) => {
  const bus = await connectBus(t, { limits: { prepared_checks_max: 2 } });
  const jobs = bus.queue("q");
  const advisories = [];
  await bus.subscribe("$tabmq.queue.rolled-back.q", ({ body }) => advisories.push(body)).ready();
  let asked = 0;
  await jobs.onCheck(() => (asked++, "unknown")).ready();
  const prepared = await jobs.prepare("half", { checkAfter: 10 });
  await until(() => advisories.length > 0);
  assert.equal(asked, 2);
  const [{ id, reason, queue }] = advisories;
  assert.deepEqual([id, reason, queue], [prepared.id, "unanswered", "q"]);
  await assert.rejects(prepared.commit(), { code: "DISCARDED", data: { reason: "unanswered" } });
  await prepared.rollback();
});

test("onCheck: one that nobody can be asked about is dropped when it is too old", async (t) => {
  const limits = { prepared_age_ms_max: 40, prepared_check_after_ms: 20, settle_ms: 1 };
  const bus = await connectBus(t, { limits });
  const prepared = await bus.queue("q").prepare("half");
  await until(async () => (await bus.queue("q").info()).prepared === 0);
  await assert.rejects(prepared.commit(), { code: "DISCARDED", data: { reason: "age" } });
});
