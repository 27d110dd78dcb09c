// Who of two tabs is served, and what one tab sees and does to a queue of the other.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

/** A handler in the tab that keeps what it got in `inbox`. */
async function work(tab, queue_options = {}, consume_options = {}) {
  await tab.evaluate(
    async (queueOptions, consumeOptions) => {
      globalThis.jobs = globalThis.bus.queue("jobs", queueOptions);
      const keep = ({ body }) => void globalThis.inbox.push(body);
      globalThis.consumer = globalThis.jobs.process(consumeOptions, keep);
      await globalThis.consumer.ready();
    },
    queue_options,
    consume_options,
  );
}

const send = (tab, bodies) =>
  tab.evaluate(async (items) => {
    for (const body of items) await globalThis.bus.queue("jobs").send(body);
  }, bodies);

const inbox = (tab) => tab.evaluate(() => globalThis.inbox);
const received = (tab, count) =>
  tab.waitFor((wanted) => globalThis.inbox.length >= wanted, { args: [count] });
const isActive = () => globalThis.consumer.active.get();

test("of two tabs one is active, and the other takes over when it goes", { folders }, async (t) => {
  const first = await openBus(t, "first");
  const second = await openBus(t, "second");
  await work(second, { singleActive: true });
  await second.waitFor(isActive, { what: "the second is active" });
  await work(first, { singleActive: true });
  await send(first, ["one", "two"]);
  await received(second, 2);
  assert.deepEqual([await first.evaluate(isActive), await inbox(first)], [false, []]);
  await second.close();
  await first.waitFor(isActive, { what: "the first takes over" });
  await send(first, ["three"]);
  await received(first, 1);
  assert.deepEqual(await inbox(first), ["three"]);
});

const canHide = { folders, engines: ["chromium", "firefox"] };

test("a visible tab is served before a hidden one", canHide, async (t) => {
  const visible = await openBus(t, "visible");
  const hidden = await openBus(t, "hidden", {}, { hidden: true });
  assert.equal(await hidden.evaluate(() => document.visibilityState), "hidden");
  await work(hidden, {}, { concurrency: 9 });
  await work(visible, {}, { concurrency: 9 });
  await send(visible, [1, 2, 3, 4]);
  await received(visible, 4);
  assert.deepEqual([await inbox(visible), await inbox(hidden)], [[1, 2, 3, 4], []]);
  await visible.evaluate(() => globalThis.consumer.stop());
  await send(visible, [5]);
  await received(hidden, 1);
});

test("an exclusive queue serves the tab that declared it alone", { folders }, async (t) => {
  const owner = await openBus(t, "owner");
  const other = await openBus(t, "other");
  await work(owner, { exclusive: true });
  await send(other, ["anyone may send"]);
  await received(owner, 1);
  const refused = await other.evaluate(async () => {
    const mine = globalThis.bus.queue("jobs");
    const codes = [mine.receive(), mine.purge(), mine.delete(), mine.browse().next()];
    return Promise.all(codes.map((promise) => globalThis.outcome(promise)));
  });
  for (const { code } of refused) assert.equal(code, "NOT_AUTHORIZED");
});

test("a tab pauses, looks into and empties a queue of another", { folders }, async (t) => {
  const first = await openBus(t, "first");
  const second = await openBus(t, "second");
  await work(first);
  await second.evaluate(() => globalThis.bus.queue("jobs").pause());
  await send(first, ["one", "two"]);
  const seen = await second.evaluate(async () => {
    const all = [];
    for await (const { body, state } of globalThis.bus.queue("jobs").browse())
      all.push([body, state]);
    return all;
  });
  assert.deepEqual([seen, await inbox(first)], [[["one", "ready"], ["two", "ready"]], []]);
  assert.equal(await second.evaluate(() => globalThis.bus.queue("jobs").purge()), 2);
  await send(first, ["three"]);
  await second.evaluate(() => globalThis.bus.queue("jobs").resume());
  await received(first, 1);
  assert.deepEqual(await inbox(first), ["three"]);
});

test("acks of a tab reach the host while all of its sends wait", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const worker = await openBus(t, "worker", { limits: { requests_max: 3 } });
  await send(host, ["acked", "extended", "released"]);
  const isSent = await worker.evaluate(async () => {
    const { bus } = globalThis;
    const [jobs, ...queues] = ["jobs", "a", "b", "c"].map((name) => bus.queue(name));
    for (const queue of queues) {
      await queue.sendBatch([{ body: 1 }, { body: 2 }]);
      for (const delivery of await queue.receive({ max: 2 })) await delivery.reject();
    }
    const [acked, extended, released] = await jobs.receive({ max: 3 });
    // All requests that may be under way: each moves its second message in a quarter of an hour.
    globalThis.slow = new AbortController();
    const options = { rate: 0.001, timeout: "1h", signal: globalThis.slow.signal };
    for (const queue of queues) queue.redrive(options).catch(() => {});
    // One more waits for its turn, and what comes behind it as well.
    void jobs.info();
    globalThis.isSent = false;
    globalThis.send = jobs.send("waits").then(() => (globalThis.isSent = true));
    await Promise.all([acked.ack(), extended.extend("1h"), released.release()]);
    await extended.ack();
    return globalThis.isSent;
  });
  assert.equal(isSent, false, "the send still waits");
  const info = () => host.evaluate(() => globalThis.bus.queue("jobs").info());
  const { ackedTotal, ready, sentTotal } = await info();
  assert.deepEqual([ackedTotal, ready, sentTotal], [2, 1, 3]);
  await worker.evaluate(() => {
    globalThis.slow.abort();
    return globalThis.send;
  });
  assert.equal((await info()).sentTotal, 4);
});
