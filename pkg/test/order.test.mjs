import assert from "node:assert/strict";
import { test } from "node:test";

import { connectBus, deferred } from "./helpers.mjs";

const bodies = (messages) => messages.map(({ body }) => body);
const now = { max: 10, timeout: 0 };

async function letters(t, options) {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { order: "key", backoff: 1, ...options });
  const items = ["a1", "a2", "b1", "b2"].map((body) => ({ body, key: body[0] }));
  await jobs.sendBatch([...items, { body: "free 1" }, { body: "free 2" }]);
  return { bus, jobs };
}

test("order: one of each key is out, the next when it is settled", async (t) => {
  const { jobs } = await letters(t);
  const [a1, b1, ...free] = await jobs.receive(now);
  assert.deepEqual(bodies([a1, b1, ...free]), ["a1", "b1", "free 1", "free 2"]);
  await b1.release();
  assert.deepEqual(bodies(await jobs.receive(now)), ["b1"]);
  await a1.ack();
  assert.deepEqual(bodies(await jobs.receive(now)), ["a2"]);
});

test("order: process runs keys side by side and each key in order", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { order: "key" });
  const both = deferred();
  const running = new Set();
  const done = [];
  jobs.process({ concurrency: 4 }, async ({ body, key }) => {
    assert.ok(!running.has(key), "a key runs twice");
    running.add(key);
    if (running.size === 2) both.resolve();
    await both.promise;
    running.delete(key);
    done.push(body);
  });
  const sent = ["a1", "a2", "a3", "b1", "b2"];
  const receipts = await jobs.sendBatch(
    sent.map((body) => ({ body, key: body[0], track: true })),
  );
  await Promise.all(receipts.map((receipt) => receipt.processed()));
  assert.deepEqual(done.filter((body) => body.startsWith("a")), ["a1", "a2", "a3"]);
  assert.deepEqual(done.filter((body) => body.startsWith("b")), ["b1", "b2"]);
});

test("onFailure: block-key waits for the one that failed", async (t) => {
  const { jobs } = await letters(t);
  const [a1, ...others] = await jobs.receive(now);
  for (const other of others) await other.ack();
  await a1.retry({ after: 30 });
  const [one] = await jobs.receive();
  const [other] = await jobs.receive();
  // Which of them is first depends on when the time of the retry is over.
  const again = [one, other].find(({ body }) => body === "a1");
  assert.deepEqual(bodies([one, other]).toSorted(), ["a1", "b2"]);
  assert.deepEqual([again.body, again.attempt], ["a1", 2]);
  await again.ack();
  assert.deepEqual(bodies(await jobs.receive(now)), ["a2"]);
});

test("onFailure: skip goes on without it, and reorder before it", async (t) => {
  const { jobs } = await letters(t, { onFailure: "skip" });
  const [a1] = await jobs.receive({ max: 1, timeout: 0 });
  await a1.retry();
  assert.deepEqual(bodies(await jobs.receive({ max: 1, timeout: 0 })), ["a2"]);
  assert.deepEqual(bodies(await jobs.deadLetters.receive(now)), ["a1"]);

  const other = await letters(t, { onFailure: "reorder" });
  const [first] = await other.jobs.receive({ max: 1, timeout: 0 });
  await first.retry({ after: "1h" });
  assert.deepEqual(bodies(await other.jobs.receive({ max: 1, timeout: 0 })), ["a2"]);
});

test("order: what has no meaning is refused, and the order of a queue stays", async (t) => {
  const { bus } = await letters(t);
  assert.throws(() => bus.queue("x", { order: "lifo" }), { code: "INVALID" });
  assert.throws(() => bus.queue("x", { order: "key", onFailure: "wait" }), { code: "INVALID" });
  await assert.rejects(bus.admin.declare("x", { onFailure: "skip" }), { code: "INVALID" });
  await assert.rejects(bus.admin.declare("x", { order: "fifo", onFailure: "skip" }), {
    code: "INVALID",
  });
  await assert.rejects(bus.admin.declare("q", { order: "fifo" }), { code: "DUPLICATE_DECLARE" });
});

test("order: with one active consumer a queue has one order, failures included", async (t) => {
  const bus = await connectBus(t);
  const options = { singleActive: true, backoff: 0 };
  const jobs = bus.queue("q", options);
  const seen = [];
  const handler = (name) => ({ body, attempt }) => {
    seen.push(body);
    if (body === 2 && attempt === 1) throw new Error("once");
    if (body === 3) first.close();
    return name;
  };
  const first = jobs.process({ prefetch: 1 }, handler("first"));
  jobs.process({ prefetch: 1 }, handler("second"));
  const items = [1, 2, 3, 4, 5].map((body) => ({ body, track: true }));
  const receipts = await jobs.sendBatch(items);
  await Promise.all(receipts.map((receipt) => receipt.processed()));
  assert.deepEqual(seen, [1, 2, 2, 3, 4, 5]);
});
