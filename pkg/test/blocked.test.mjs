import assert from "node:assert/strict";
import { test } from "node:test";

import { connectBus, deferred, until } from "./helpers.mjs";

/** A bus whose sends wait until `open` is called. */
async function gated(t) {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs");
  await jobs.sendBatch([1, 2, 3, 4].map((body) => ({ body })));
  const deliveries = await jobs.receive({ max: 4 });
  const gate = deferred();
  bus.use({ outgoing: ({ kind }) => (kind === "send" ? gate.promise : undefined) });
  return { bus, jobs, deliveries, open: gate.resolve };
}

test("blocked: whoever has no credit for sends can settle all the same", async (t) => {
  const bus = await connectBus(t, { limits: { requests_max: 3 } });
  const [jobs, ...queues] = ["jobs", "a", "b", "c"].map((name) => bus.queue(name));
  for (const queue of queues) {
    await queue.sendBatch([{ body: 1 }, { body: 2 }]);
    for (const delivery of await queue.receive({ max: 2 })) await delivery.reject();
  }
  await jobs.sendBatch([1, 2, 3].map((body) => ({ body })));
  const [first, second, third] = await jobs.receive({ max: 3 });
  // All requests that may be under way: each moves its second message after a quarter of an hour.
  const slow = new AbortController();
  const options = { rate: 0.001, timeout: "1h", signal: slow.signal };
  const redrives = queues.map((queue) => queue.redrive(options));
  // One more waits for its turn, and what comes behind it as well.
  const info = jobs.info();
  let isSent = false;
  const send = jobs.send("waits").then(() => (isSent = true));
  await first.extend("1m");
  await Promise.all([first.ack(), second.release(), third.retry({ after: "1m" })]);
  assert.equal(isSent, false);
  slow.abort();
  for (const redrive of redrives) await assert.rejects(redrive, { code: "CANCELLED" });
  await Promise.all([info, send]);
  const { ackedTotal, ready, delayed } = await jobs.info();
  assert.deepEqual([ackedTotal, ready, delayed], [1, 2, 1]);
});

test("blocked: settlements pass sends whose bodies are not there yet", async (t) => {
  const { bus, jobs, deliveries, open } = await gated(t);
  const [acked, extended, released, failed] = deliveries;
  const send = jobs.send("late");
  let isSent = false;
  void send.then(() => (isSent = true));
  await extended.extend("1m");
  await Promise.all([acked.ack("done"), released.release(), failed.retry({ after: "1m" })]);
  await extended.reject("bad");
  assert.equal(isSent, false);
  open();
  await send;
  const { ackedTotal, deadLetteredTotal, ready, delayed } = await jobs.info();
  assert.deepEqual([ackedTotal, deadLetteredTotal, ready, delayed], [1, 1, 2, 1]);
  await bus.flush();
});

test("blocked: a handler renews its lease and a service answers while sends wait", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs", { lease: 2000 });
  const gate = deferred();
  await jobs.send("long");
  bus.use({ outgoing: ({ kind }) => (kind === "send" ? gate.promise : undefined) });
  const attempts = [];
  const ended = deferred();
  jobs.process(async ({ attempt }) => {
    attempts.push(attempt);
    const sent = bus.queue("other").send("from the handler");
    // So long that the lease is over unless it is renewed.
    const end = performance.now() + 3000;
    await until(() => performance.now() > end);
    gate.resolve();
    await sent;
    ended.resolve();
  });
  await ended.promise;
  assert.deepEqual(attempts, [1]);

  const second = deferred();
  bus.use({ outgoing: ({ kind }) => (kind === "send" ? second.promise : undefined) });
  await bus.serve("calc", { add: (a, b) => a + b }).ready();
  const answer = bus.client("calc").add(2, 3);
  const waits = jobs.send("waits");
  assert.equal(await answer, 5);
  second.resolve();
  await waits;
});

test("blocked: the sends of a full queue are taken once its consumer acknowledges", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs", { maxLength: 2 });
  await jobs.sendBatch([{ body: 1 }, { body: 2 }]);
  const [first] = await jobs.receive();
  await assert.rejects(jobs.send(3), { code: "FULL" });
  await first.ack();
  await jobs.send(3);
  const { ready } = await jobs.info();
  assert.equal(ready, 2);
});
