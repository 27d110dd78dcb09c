import assert from "node:assert/strict";
import { test } from "node:test";

import { Reject } from "tabmq";

import { connectBus, deferred, events, notAtHub, until } from "./helpers.mjs";

test("receipt: what the handler returns reaches the producer", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const go = deferred();
  jobs.process(async ({ body }) => {
    await go.promise;
    return { doubled: body * 2n, at: new Date(0) };
  });
  const receipt = await jobs.send(21n, { track: true });
  await receipt.delivered();
  const result = receipt.processed();
  go.resolve();
  assert.deepEqual(await result, { doubled: 42n, at: new Date(0) });
  // Asked again, and by the id alone, it is still there.
  assert.deepEqual(await receipt.processed(), { doubled: 42n, at: new Date(0) });
  assert.deepEqual(await jobs.receipt(receipt.id).processed(), await result);
});

test("receipt: without track it can't be asked", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const receipt = await jobs.send(1);
  await assert.rejects(receipt.processed(), { code: "INVALID" });
  await assert.rejects(receipt.delivered(), { code: "INVALID" });
  await assert.rejects(jobs.receipt(receipt.id).processed(), { code: "NOT_FOUND" });
  await assert.rejects(jobs.receipt("nothing").delivered(), { code: "NOT_FOUND" });
  assert.throws(() => jobs.receipt(7), { code: "INVALID" });
});

test("send: without a hub none can confirm it", notAtHub("there is one"), async (t) => {
  const bus = await connectBus(t);
  await assert.rejects(bus.queue("q").send(1, { confirm: "hub" }), { code: "INVALID" });
});

test("send: with confirm processed it resolves when the handler is done", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  let done = false;
  jobs.process(async () => {
    await new Promise(setImmediate);
    done = true;
    return "result";
  });
  const receipt = await jobs.send(1, { confirm: "processed" });
  assert.equal(done, true);
  assert.equal(await receipt.processed(), "result");
  const nobody = bus.queue("nobody").send(1, { confirm: "processed", timeout: 30 });
  await assert.rejects(nobody, { code: "TIMEOUT", maybeExecuted: true });
});

test("receipt: a message that fails rejects with what became of it", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { maxDeliver: 2, backoff: 1 });
  const failures = events(bus, "error", 2);
  jobs.process(({ body }) => {
    if (body === "reject") throw new Reject("not today");
    throw new Error("broken");
  });
  const rejected = await jobs.send("reject", { track: true });
  await assert.rejects(rejected.processed(), (error) => {
    assert.deepEqual([error.code, error.data.reason], ["DEAD_LETTERED", "not today"]);
    return true;
  });
  const broken = await jobs.send("break", { track: true });
  await assert.rejects(broken.processed(), { code: "DEAD_LETTERED" });
  await failures;
  const discards = bus.queue("d", { deadLetter: false });
  discards.process(() => {
    throw new Reject("no");
  });
  const gone = await discards.send(1, { track: true });
  await assert.rejects(gone.processed(), { code: "DISCARDED" });
  const purged = await bus.queue("p").send(1, { track: true });
  const waiting = purged.processed();
  await bus.queue("p").purge();
  await assert.rejects(waiting, { code: "DISCARDED" });
});

test("progress: reaches who waits for the result", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const [heard, asked] = [[], deferred()];
  jobs.process(async (job) => {
    await asked.promise;
    for (const part of [1, 2, 3]) job.progress({ part });
    await until(() => heard.length === 3);
    return "done";
  });
  const receipt = await jobs.send("long", { track: true });
  await receipt.delivered();
  const result = receipt.processed({ onProgress: ({ part }) => void heard.push(part) });
  await bus.flush();
  asked.resolve();
  assert.deepEqual([await result, heard], ["done", [1, 2, 3]]);
});

test("receipt: with an id of one's own and in a batch", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  jobs.process(({ body }) => `did ${body}`);
  const [one, two] = await jobs.sendBatch([
    { body: "one", id: "order-1", track: true },
    { body: "two" },
  ]);
  assert.equal(await one.processed(), "did one");
  assert.equal(await jobs.receipt("order-1").processed(), "did one");
  await assert.rejects(two.processed(), { code: "INVALID" });
});

test("receipt: ack gives the value where no handler returns it", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const receipt = await jobs.send(1, { track: true });
  const [job] = await jobs.receive();
  await job.ack({ by: "hand" });
  assert.deepEqual(await receipt.processed(), { by: "hand" });
});

test("receipt: a result that can't travel makes its message a dead letter", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const failure = events(bus, "error");
  jobs.process(() => ({ run: () => {} }));
  const receipt = await jobs.send(1, { track: true });
  await assert.rejects(receipt.processed(), { code: "DEAD_LETTERED" });
  assert.equal((await failure)[0].code, "UNENCODABLE");
  // Nobody wants this one, so nobody encodes it.
  const plain = await jobs.send(2);
  await until(async () => (await jobs.info()).ackedTotal === 1);
  assert.ok(plain.id);
});

test("receipt: a result is forgotten after keepResults", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { keepResults: 20 });
  jobs.process(() => "short");
  const receipt = await jobs.send(1, { track: true });
  assert.equal(await receipt.processed(), "short");
  await until(async () => {
    const found = await receipt.processed().catch(({ code }) => code);
    return found === "NOT_FOUND";
  });
});

test("receipt: waiting for a result holds up neither flush nor close", async (t) => {
  const bus = await connectBus(t);
  const receipt = await bus.queue("q").send(1, { track: true });
  const result = receipt.processed({ timeout: Infinity });
  await bus.flush();
  await bus.close({ drain: true });
  await assert.rejects(result, { code: "CLOSED" });
});
