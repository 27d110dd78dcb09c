// Pages that stand still, are frozen, slowed down or kept aside, and clocks that jump: nothing is
// done twice or lost by it, and who wakes is told what is no longer true.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import {
  folders,
  hostOf,
  joinBus,
  kindOf,
  openBus,
  openPrepared,
  PATIENT,
  requireHost,
} from "./bus.mjs";
import { comeBack, leave } from "./cache.mjs";

const everywhere = { folders, hosts: true };
const killing = { folders, hosts: true, kills: true };
const TOLD = 200;
/** One round trip on a loaded machine, far less than the minute of a lease. */
const WAKING_MS = 10_000;

const idOf = (tab) => tab.evaluate(() => globalThis.bus.peer.id);

/** In the page: takes two deliveries and hears what is told. */
async function startHolding(lease) {
  const jobs = globalThis.bus.queue("jobs", { lease });
  await jobs.sendBatch([{ body: "one" }, { body: "two" }]);
  globalThis.held = await jobs.receive({ max: 2 });
  globalThis.told = [];
  const hear = ({ body }) => void globalThis.told.push(body);
  const onGap = ({ first, last }) => void globalThis.told.push({ missed: last - first + 1 });
  await globalThis.bus.subscribe("told", { onGap }, hear).ready();
}

/** In the page: works on what others gave up, and tells something meanwhile. */
async function workAndTell(lease, count) {
  globalThis.done = [];
  const take = ({ body, attempt }) => void globalThis.done.push([body, attempt]);
  await globalThis.bus.queue("jobs", { lease }).process(take).ready();
  for (let number = 0; number < count; number += 1) await globalThis.bus.publish("told", number);
}

/** Each number is there in order, or counted in a gap. */
function requireTold(told, count) {
  let next = 0;
  for (const entry of told) {
    if (typeof entry === "number") assert.equal(entry, next);
    next += entry.missed ?? 1;
  }
  assert.equal(next, count, JSON.stringify(told));
}

/** What was told has come, as messages or as gaps, and late acknowledgements are refused. */
async function requireAwake(t, tab) {
  const started_ms = performance.now();
  const all = (count) =>
    globalThis.told.reduce((sum, entry) => sum + (entry.missed ?? 1), 0) >= count;
  await tab.waitFor(all, { args: [TOLD], what: "everything that was told, or a gap" });
  t.measure("woken_to_all_told_ms", performance.now() - started_ms);
  requireTold(await tab.evaluate(() => globalThis.told), TOLD);
  const acks = await tab.evaluateWithin(WAKING_MS, () =>
    Promise.all(globalThis.held.map((delivery) => globalThis.outcome(delivery.ack()))),
  );
  assert.deepEqual(acks.map(({ code }) => code), ["STALE_LEASE", "STALE_LEASE"]);
  t.measure("woken_to_refused_ms", performance.now() - started_ms);
}

test("a tab stands still for longer than its leases", killing, async (t) => {
  const lease = "2s";
  const host = await openBus(t, "host");
  await requireHost(host);
  const sleeper = await openBus(t, "sleeper");
  await sleeper.evaluate(startHolding, lease);
  const id = await idOf(sleeper);
  await sleeper.stop(await t.browser.requireOwnProcesses());
  await host.evaluate(workAndTell, lease, TOLD);
  const others = () => globalThis.done.length === 2;
  await host.waitFor(others, { what: "what it held is given to another" });
  const done = await host.evaluate(() => globalThis.done);
  assert.deepEqual(done.sort(), [["one", 2], ["two", 2]]);
  await sleeper.resume();
  await requireAwake(t, sleeper);
  assert.equal(await idOf(sleeper), id);
  const info = await host.evaluate(() => globalThis.bus.queue("jobs").info());
  assert.deepEqual([info.ready, info.leased, info.ackedTotal], [0, 0, 2]);
});

test("a host wakes after its lock was stolen, and writes nothing as such", killing, async (t) => {
  const host = await openBus(t, "host");
  await requireHost(host);
  const other = await openBus(t, "other");
  const send = (body) => globalThis.bus.queue("jobs").send(body).then(({ stored }) => stored.at);
  await other.evaluate(send, "before");
  const before = await hostOf(other);
  await host.stop(await t.browser.requireOwnProcesses());
  await other.evaluate(send, "meanwhile");
  const { epoch } = await hostOf(other);
  assert.ok(epoch > before.epoch, "another node has taken over");
  // It waits in the process, and is done before the page hears of the new node.
  const sending = host.evaluate(send, "woken");
  await host.resume();
  assert.equal(await sending, "device");
  const bodies = await other.evaluate(async () => {
    const found = [];
    for await (const { body } of globalThis.bus.queue("jobs").browse()) found.push(body);
    return found;
  });
  assert.deepEqual(bodies, ["before", "meanwhile", "woken"]);
  const follows = (least) => globalThis.bus.host.get().epoch >= least;
  await host.waitFor(follows, { args: [epoch], what: "it follows the new node" });
});

const BESIDE_WORKERS = { folders, kills: true, host: "worker" };

test("a worker that answers late gets the node from its page", BESIDE_WORKERS, async (t) => {
  const first = await openBus(t, "first");
  await requireHost(first);
  const other = await openBus(t, "other", { assets: { worker: "/bus/still-worker.js" } });
  const owners = await t.browser.requireOwnProcesses();
  const still = new Promise((resolve) => {
    t.server.setHandler("/stands-still", (_, response) => resolve(response));
  });
  // It has asked for the lock, or it would get it as one that has just come up.
  await other.waitFor(async () => {
    const { pending } = await navigator.locks.query();
    return pending.some(({ name }) => name === "tabmq:test:node");
  });
  await other.evaluate(() => {
    const channel = new BroadcastChannel("still");
    channel.postMessage(null);
  });
  const response = await still;
  await first.stop(owners);
  await other.evaluate(() => globalThis.bus.queue("jobs").send("meanwhile").then(() => null));
  assert.deepEqual(await hostOf(other).then(({ kind, here }) => [kind, here]), ["tab", true]);
  response.writeHead(204).end();
  const runs = () => globalThis.bus.host.get().kind === "worker";
  await other.waitFor(runs, { what: "its worker hosts" });
  await first.resume();
  const { ready } = await first.evaluate(() => globalThis.bus.queue("jobs").info());
  assert.equal(ready, 1);
});

/** What a browser does to a page in the background when it needs its memory. */
async function setFrozen(tab, frozen) {
  const session = await tab.page.createCDPSession();
  const state = frozen ? "frozen" : "active";
  await session.send("Page.setWebLifecycleState", { state });
  await session.detach();
}

/** In the page. */
function noteLifecycle() {
  globalThis.lifecycle = [];
  for (const type of ["freeze", "resume"]) {
    document.addEventListener(type, () => globalThis.lifecycle.push(type));
  }
}

const freezing = { folders, hosts: true, engines: ["chromium"] };

test("a frozen tab hosts nothing, and takes up where it was", freezing, async (t) => {
  const lease = "2s";
  const first = await openBus(t, "first");
  const { epoch } = await requireHost(first);
  const other = await openBus(t, "other");
  await first.evaluate(noteLifecycle);
  await first.evaluate(startHolding, lease);
  await first.hide();
  await setFrozen(first, true);
  if (kindOf(t) === "tab") {
    const moved = (before) => globalThis.bus.host.get().epoch > before;
    await other.waitFor(moved, { args: [epoch], what: "another tab hosts" });
  }
  await other.evaluate(workAndTell, lease, TOLD);
  await other.waitFor(() => globalThis.done.length === 2, { what: "another tab gets the work" });
  await setFrozen(first, false);
  await first.show();
  await requireAwake(t, first);
  assert.deepEqual(await first.evaluate(() => globalThis.lifecycle), ["freeze", "resume"]);
  const info = await first.evaluate(() => globalThis.bus.queue("jobs").info());
  assert.equal(info.ackedTotal, 2);
});

test("another node has come while a page was in the cache", everywhere, async (t) => {
  const host = await openBus(t, "host");
  await requireHost(host);
  const tab = await openBus(t, "cached");
  await tab.evaluate(startHolding, "1m");
  const id = await idOf(tab);
  const cached = await leave(t, tab);
  const { epoch } = await hostOf(host);
  await host.evaluate(() => globalThis.bus.admin.killHost());
  const follows = (before) => globalThis.bus.host.get().epoch > before;
  await host.waitFor(follows, { args: [epoch], what: "another node" });
  await host.evaluate(workAndTell, "1m", TOLD);
  const madeAnew = await comeBack(t, tab);
  if (madeAnew) await joinBus(tab);
  else await requireAwake(t, tab);
  await tab.waitFor(() => globalThis.bus.status.get() === "ready");
  // The identity goes with a page into the cache, and is lost with it.
  assert.equal((await idOf(tab)) === id, !(cached && madeAnew));
  await host.waitFor(() => globalThis.done.length === 2, { what: "another tab gets the work" });
});

const DAY_MS = 86_400_000;

/** In the page, before the package: `globalThis.shift_ms` moves its wall clock. */
function moveClocks() {
  globalThis.shift_ms = 0;
  const { now } = Date;
  Date.now = () => now() + globalThis.shift_ms;
}

for (const [way, shift_ms] of Object.entries({ ahead: DAY_MS, back: -DAY_MS })) {
  test(`the wall clock of the host jumps ${way} by a day`, { folders }, async (t) => {
    const host = await openPrepared(t, "host", moveClocks);
    const options = { host: "tab", ...PATIENT };
    await joinBus(host, options);
    const other = await openBus(t, "other", options);
    await other.evaluate(startHolding, "1m");
    const before = await hostOf(other);
    await host.evaluate((shift) => void (globalThis.shift_ms = shift), shift_ms);
    await host.evaluate(workAndTell, "1m", TOLD);
    // A wall clock that jumps ends no lease: nothing was given to the one that works now.
    const heard = (count) => globalThis.told.length === count;
    await other.waitFor(heard, { args: [TOLD], what: "everything that was told" });
    assert.deepEqual(await host.evaluate(() => globalThis.done), []);
    await other.evaluate(async () => {
      for (const delivery of globalThis.held) await delivery.ack();
    });
    await other.evaluate(() =>
      globalThis.bus.queue("jobs", { lease: "1m" }).send("later", { delay: 100 }).then(() => null),
    );
    await host.waitFor(() => globalThis.done.length === 1, { what: "what was delayed comes" });
    const info = await other.evaluate(() => globalThis.bus.queue("jobs").info());
    assert.deepEqual([info.ackedTotal, info.ready, info.leased, info.delayed], [3, 0, 0, 0]);
    assert.equal((await hostOf(other)).epoch, before.epoch, "it is the same node");
  });
}
