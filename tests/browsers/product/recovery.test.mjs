// The host dies in every way a tab can; what was confirmed before is processed after it.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, hostOf, openBus } from "./bus.mjs";

const COUNT = 200;
const RECOVERY_MS = 30_000;

/** In the page: sends the numbers one after the other and counts those that are confirmed. */
function startSending(first, count) {
  globalThis.confirmed ??= [];
  const queue = globalThis.bus.queue("jobs");
  globalThis.sending = (async () => {
    for (let number = first; number < first + count; number += 1) {
      await queue.send(number);
      globalThis.confirmed.push(number);
    }
  })();
  globalThis.sending.catch((error) => globalThis.inbox.push(["send", String(error)]));
}

/** In the page: processes and keeps what came. */
async function startWork() {
  globalThis.done = [];
  const take = ({ body }) => void globalThis.done.push(body);
  await globalThis.bus.queue("jobs").process({ concurrency: 20 }, take).ready();
}

/**
 * Sends before, through and after the fault, which ends the host's tenure. `signals`: it sends one
 * to the host's process. `between_writes`: it comes when the host has stored all it was given.
 */
async function survive(t, fault, { signals = false, between_writes = false } = {}) {
  const host = await openBus(t, "host");
  const producer = await openBus(t, "producer");
  const worker = await openBus(t, "worker");
  const before = await hostOf(producer);
  assert.equal((await hostOf(host)).here, true, "the first tab hosts");
  const owners = signals ? await t.browser.requireOwnProcesses() : undefined;
  await producer.evaluate(startSending, 0, COUNT);
  const sent = (count) => globalThis.confirmed.length >= count;
  await producer.waitFor(sent, { args: [COUNT], deadline_ms: RECOVERY_MS });
  const sendMore = () => producer.evaluate(startSending, COUNT, COUNT);
  if (!between_writes) await sendMore();
  const started_ms = performance.now();
  await fault({ host, producer, worker, owners });
  if (between_writes) await sendMore();
  await producer.waitFor((epoch) => globalThis.bus.host.get().epoch > epoch, {
    args: [before.epoch],
    deadline_ms: RECOVERY_MS,
    what: "another node has taken over",
  });
  t.measure("fault_to_new_node_ms", performance.now() - started_ms);
  await worker.evaluate(startWork);
  const all = { args: [2 * COUNT], deadline_ms: RECOVERY_MS };
  await producer.waitFor(sent, { ...all, what: "every send is confirmed" });
  const processed = (count) => new Set(globalThis.done).size >= count;
  await worker.waitFor(processed, { ...all, what: "every message is processed" });
  const empty = async () => {
    const { ready, delayed, leased } = await globalThis.bus.queue("jobs").info();
    return ready + delayed + leased === 0;
  };
  await producer.waitFor(empty, { what: "the queue is empty", deadline_ms: RECOVERY_MS });
  const done = await worker.evaluate(() => globalThis.done);
  assert.equal(new Set(done).size, done.length, "nothing is processed twice");
  assert.deepEqual(await producer.evaluate(() => globalThis.inbox), []);
  return { host, producer, worker };
}

test("the host is killed", { folders, kills: true }, async (t) => {
  await survive(t, ({ host, owners }) => host.kill(owners), { signals: true });
});

test("the host is closed", { folders }, async (t) => {
  await survive(t, ({ host }) => host.close());
});

test("the host is stopped and continued", { folders, kills: true }, async (t) => {
  const stop = ({ host, owners }) => host.stop(owners);
  // In all three engines a process that is stopped in the middle of a write (three in ten were,
  // when pages did nothing else) keeps the stores locked until it goes on or dies. No other page
  // can do anything about that, so this one is stopped between two writes.
  const { host } = await survive(t, stop, { signals: true, between_writes: true });
  await host.resume();
  const follows = () => globalThis.bus.host.get().epoch > 1 && !globalThis.bus.host.get().here;
  await host.waitFor(follows, { what: "the old host follows the new one" });
  const info = await host.evaluate(() => globalThis.bus.queue("jobs").info());
  assert.equal(info.ackedTotal, 2 * COUNT);
});

/** In the page: takes the lock of the node and lets it go at once. */
async function stealLock() {
  const { held } = await navigator.locks.query();
  const names = held.map(({ name }) => name).filter((name) => name.endsWith(":node"));
  for (const name of names) await navigator.locks.request(name, { steal: true }, () => {});
  return names.length;
}

test("the lock of the host is stolen", { folders }, async (t) => {
  await survive(t, async () => {
    const thief = await t.openTab("/blank.html", { label: "thief" });
    assert.equal(await thief.evaluate(stealLock), 1);
  });
});

test("the host drops its driver on request", { folders }, async (t) => {
  await survive(t, ({ producer }) => producer.evaluate(() => globalThis.bus.admin.killHost()));
});
