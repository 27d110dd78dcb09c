// The host dies in every way a tab can; what was confirmed before is processed after it.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import {
  folders,
  hostOf,
  joinBus,
  kindOf,
  openBus,
  openPage,
  openPrepared,
  requireHost,
  startSending,
} from "./bus.mjs";

/** Each of them with the node in every place. */
const everywhere = { folders, hosts: true };
const killing = { folders, hosts: true, kills: true };

const COUNT = 200;
const RECOVERY_MS = 30_000;

/** In the page: processes and keeps what came. */
async function startWork() {
  globalThis.done = [];
  const take = ({ body }) => void globalThis.done.push(body);
  await globalThis.bus.queue("jobs").process({ concurrency: 20 }, take).ready();
}

/**
 * Sends before, through and after the fault, which ends the host's tenure. `signals`: it sends one
 * to the host's process. `between_writes`: it comes when the host has stored all it was given.
 * `stays`: the node outlives the fault; "maybe": nobody can tell.
 */
async function survive(t, fault, { signals = false, between_writes = false, stays = false } = {}) {
  const host = await openBus(t, "host");
  await requireHost(host);
  const producer = await openBus(t, "producer");
  const worker = await openBus(t, "worker");
  const before = await hostOf(producer);
  const owners = signals ? await t.browser.requireOwnProcesses() : undefined;
  await producer.evaluate(startSending, 0, COUNT);
  const sent = (count) => globalThis.confirmed.length >= count;
  await producer.waitFor(sent, { args: [COUNT], deadline_ms: RECOVERY_MS });
  const sendMore = () => producer.evaluate(startSending, COUNT, COUNT);
  if (!between_writes) await sendMore();
  const started_ms = performance.now();
  await fault({ host, producer, worker, owners });
  if (between_writes) await sendMore();
  if (stays === false) {
    await producer.waitFor((epoch) => globalThis.bus.host.get().epoch > epoch, {
      args: [before.epoch],
      deadline_ms: RECOVERY_MS,
      what: "another node has taken over",
    });
    t.measure("fault_to_new_node_ms", performance.now() - started_ms);
  }
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
  const { epoch } = await hostOf(producer);
  if (stays === true) assert.equal(epoch, before.epoch, "it is the same node");
  return { host, producer, worker };
}

/** WebKit may run a shared worker in another process than that of the page which started it. */
const outliving = (t) =>
  t.engine === "webkit" && kindOf(t) === "shared-worker" ? { stays: "maybe" } : {};

test("the host is killed", killing, async (t) => {
  await survive(t, ({ host, owners }) => host.kill(owners), { signals: true, ...outliving(t) });
});

test("the host is closed", everywhere, async (t) => {
  // A shared worker runs on as long as it has a page.
  await survive(t, ({ host }) => host.close(), { stays: kindOf(t) === "shared-worker" });
});

test("the host is stopped and continued", killing, async (t) => {
  const stop = ({ host, owners }) => host.stop(owners);
  // In all three engines a process that is stopped in the middle of a write (three in ten were,
  // when pages did nothing else) keeps the stores locked until it goes on or dies. No other page
  // can do anything about that, so this one is stopped between two writes.
  const { host } = await survive(t, stop, { signals: true, between_writes: true, ...outliving(t) });
  await host.resume();
  const follows = (epoch) =>
    globalThis.bus.host.get().epoch > epoch && !globalThis.bus.host.get().here;
  const args = [outliving(t).stays === undefined ? 1 : 0];
  await host.waitFor(follows, { args, what: "the old host follows the new one" });
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

test("the lock of the host is stolen", everywhere, async (t) => {
  await survive(t, async () => {
    const thief = await t.openTab("/blank.html", { label: "thief" });
    assert.equal(await thief.evaluate(stealLock), 1);
  });
});

test("the host drops its driver on request", everywhere, async (t) => {
  await survive(t, ({ producer }) => producer.evaluate(() => globalThis.bus.admin.killHost()));
});

/** In the page: from `globalThis.mute()` on, nothing is heard of the end of a transaction. */
function prepareMuteStorage() {
  let muted = false;
  globalThis.mute = () => {
    muted = true;
  };
  const { transaction } = IDBDatabase.prototype;
  IDBDatabase.prototype.transaction = function begin(...parameters) {
    const begun = transaction.apply(this, parameters);
    const swallow = (event) => {
      if (muted) event.stopImmediatePropagation();
    };
    for (const type of ["complete", "abort"]) begun.addEventListener(type, swallow);
    return begun;
  };
}

test("a host whose storage answers no more gives way", everywhere, async (t) => {
  const host = await openPrepared(t, "host", prepareMuteStorage);
  await joinBus(host, { host: "tab" });
  const producer = await openBus(t, "producer");
  const before = await hostOf(producer);
  assert.equal((await hostOf(host)).here, true, "the first tab hosts");
  await host.evaluate(() => globalThis.mute());
  await producer.evaluate(startSending, 0, 3);
  // Opened meanwhile, so that it has no link that a node could answer on.
  const late = await openPage(t, "late");
  await joinBus(late);
  const sent = () => globalThis.confirmed.length === 3;
  await producer.waitFor(sent, { deadline_ms: RECOVERY_MS, what: "every send is confirmed" });
  assert.ok((await hostOf(producer)).epoch > before.epoch, "another node has taken over");
  await late.evaluate(startWork);
  await late.waitFor(() => globalThis.done.length === 3, { what: "every message is processed" });
  assert.deepEqual(await producer.evaluate(() => globalThis.inbox), []);
});

test("a tab opened while the host is stopped is served", killing, async (t) => {
  const host = await openBus(t, "host");
  const { epoch: before } = await requireHost(host);
  const late = await openPage(t, "late");
  await host.stop(await t.browser.requireOwnProcesses());
  const { here, epoch } = await joinBus(late);
  if (outliving(t).stays === undefined) assert.ok(epoch > before, "another node serves it");
  const in_page = kindOf(t) !== "worker" && epoch > before;
  assert.equal(here, in_page, "nobody else is there but a worker of its own");
});
