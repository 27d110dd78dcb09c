// Who is who when tabs are opened at once, cloned, reloaded, and left and returned to.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, hostOf, joinBus, kindOf, openBus, openPage, requireHost } from "./bus.mjs";
import { comeBack, leave } from "./cache.mjs";

/** Each of them with the node in every place. */
const everywhere = { folders, hosts: true };

const TABS = 10;

const idOf = (tab) => tab.evaluate(() => globalThis.bus.peer.id);

function waitForPeers(tab, count) {
  const seen = (wanted) => globalThis.bus.peers.get().length === wanted;
  return tab.waitFor(seen, { args: [count], what: `${tab.label} sees ${count} peers` });
}

test("ten tabs opened at once have one host", everywhere, async (t) => {
  const labels = Array.from({ length: TABS }, (_, index) => `tab ${index + 1}`);
  const tabs = [];
  for (const label of labels) tabs.push(await openPage(t, label));
  await Promise.all(tabs.map((tab) => joinBus(tab)));
  for (const tab of tabs) await waitForPeers(tab, TABS);
  // A page may have stood in until the worker was there, and not everybody hears that at once.
  const runs = (kind) => globalThis.bus.host.get().kind === kind;
  for (const tab of tabs) await tab.waitFor(runs, { args: [kindOf(t)] });
  const newest = Math.max(...(await Promise.all(tabs.map(hostOf))).map(({ epoch }) => epoch));
  const follows = (epoch) => globalThis.bus.host.get().epoch >= epoch;
  for (const tab of tabs) await tab.waitFor(follows, { args: [newest], what: "all follow one" });
  const hosts = await Promise.all(tabs.map(hostOf));
  const in_pages = hosts.filter(({ here }) => here).length;
  assert.equal(in_pages, kindOf(t) === "tab" ? 1 : 0, "one holds the epoch");
  assert.equal(new Set(hosts.map(({ epoch }) => epoch)).size, 1, "all follow the same");
  assert.equal(new Set(await Promise.all(tabs.map(idOf))).size, TABS);
});

/** In the page: takes deliveries and settles none of them. */
async function holdDeliveries() {
  globalThis.deliveries = globalThis.bus.queue("jobs", { lease: "1m" }).consume({ prefetch: 10 });
  await globalThis.deliveries.ready();
  globalThis.held = 0;
  (async () => {
    const iterator = globalThis.deliveries[Symbol.asyncIterator]();
    for (;;) {
      if ((await iterator.next()).done) break;
      globalThis.held += 1;
    }
  })();
}

/** In the page: processes and notes body and attempt. */
async function startWork() {
  globalThis.done = [];
  const take = ({ body, attempt }) => void globalThis.done.push([body, attempt]);
  await globalThis.bus.queue("jobs", { lease: "1m" }).process(take).ready();
}

test("a tab that reloads goes on as the same client", everywhere, async (t) => {
  const host = await openBus(t, "host");
  const worker = await openBus(t, "worker");
  await worker.evaluate(holdDeliveries);
  await host.evaluate(async () => {
    for (const body of ["one", "two"]) await globalThis.bus.queue("jobs").send(body);
  });
  await worker.waitFor(() => globalThis.held === 2, { what: "the worker holds both" });
  const id = await idOf(worker);
  await worker.reload();
  await worker.waitFor(() => globalThis.tabmq !== undefined);
  await joinBus(worker);
  assert.equal(await idOf(worker), id);
  await waitForPeers(host, 2);
  // Far sooner than their lease of a minute ends.
  await worker.evaluate(startWork);
  await worker.waitFor(() => globalThis.done.length === 2, { what: "both come again" });
  const bodies = await worker.evaluate(() => globalThis.done.map(([body]) => body));
  assert.deepEqual(bodies, ["one", "two"]);
});

test("a host that reloads finds everything again", everywhere, async (t) => {
  const host = await openBus(t, "host");
  const before = await requireHost(host);
  await host.evaluate(async () => {
    for (let number = 0; number < 100; number += 1) await globalThis.bus.queue("jobs").send(number);
  });
  await host.reload();
  await host.waitFor(() => globalThis.tabmq !== undefined);
  await joinBus(host);
  const after = await requireHost(host);
  assert.ok(after.epoch > before.epoch, "the epoch is raised");
  const info = await host.evaluate(() => globalThis.bus.queue("jobs").info());
  assert.equal(info.ready, 100);
});

test("a cloned tab is another client", everywhere, async (t) => {
  const host = await openBus(t, "host");
  const original = await openBus(t, "original");
  // After a reload the tab keeps its identity in what a clone copies.
  await original.reload();
  await original.waitFor(() => globalThis.tabmq !== undefined);
  await joinBus(original);
  const clone = await original.clone();
  await clone.waitFor(() => globalThis.tabmq !== undefined);
  await joinBus(clone);
  for (const tab of [host, original, clone]) await waitForPeers(tab, 3);
  assert.equal(new Set(await Promise.all([host, original, clone].map(idOf))).size, 3);
  for (const tab of [original, clone]) {
    await tab.evaluate(() =>
      globalThis.bus.subscribe("told", ({ body }) => void globalThis.inbox.push(body)).ready(),
    );
  }
  await host.evaluate(() => globalThis.bus.publish("told", "hello"));
  for (const tab of [original, clone]) {
    await tab.waitFor(() => globalThis.inbox.length > 0, { what: `${tab.label} hears` });
    assert.deepEqual(await tab.evaluate(() => globalThis.inbox), ["hello"]);
  }
});

/** Leaves the page and comes back to it; `meanwhile` runs while it is away. */
async function leaveAndReturn(t, tab, meanwhile) {
  const cached = t.engine !== "firefox";
  assert.equal(await leave(t, tab), cached);
  await meanwhile();
  const madeAnew = await comeBack(t, tab);
  if (madeAnew) {
    assert.equal(await tab.evaluate(() => globalThis.wasHere ?? null), null);
    await joinBus(tab);
  }
  await tab.waitFor(() => globalThis.bus.status.get() === "ready", { what: "it is on the bus" });
  // The identity goes with a page into the cache, and is lost with it.
  return { madeAnew, isSameClient: !(cached && madeAnew) };
}

/** In the page. */
async function startListening() {
  await globalThis.bus.subscribe("told", ({ body }) => void globalThis.inbox.push(body)).ready();
}

test("a tab that is left and returned to is parked meanwhile", everywhere, async (t) => {
  const host = await openBus(t, "host");
  const tab = await openBus(t, "parked");
  const id = await idOf(tab);
  await tab.evaluate(startListening);
  await tab.evaluate(holdDeliveries);
  await host.evaluate(() => globalThis.bus.queue("jobs").send("one").then(() => null));
  await tab.waitFor(() => globalThis.held === 1, { what: "it holds a delivery" });
  const { madeAnew, isSameClient } = await leaveAndReturn(t, tab, async () => {
    // Its lease is given back at once, not after the minute it has.
    await host.evaluate(startWork);
    await host.waitFor(() => globalThis.done.length === 1, { what: "another tab gets it" });
    assert.deepEqual(await host.evaluate(() => globalThis.done), [["one", 1]]);
  });
  assert.equal((await idOf(tab)) === id, isSameClient);
  // What a page in the cache had subscribed to lives on.
  if (madeAnew) await tab.evaluate(startListening);
  await host.evaluate(() => globalThis.bus.publish("told", "welcome back"));
  const told = () => globalThis.inbox.includes("welcome back");
  await tab.waitFor(told, { what: "its subscription lives on" });
});

test("a host that is left and returned to leaves hosting to others", everywhere, async (t) => {
  const host = await openBus(t, "host");
  const { epoch } = await requireHost(host);
  const other = await openBus(t, "other");
  const id = await idOf(host);
  await other.evaluate(() => globalThis.bus.queue("jobs").send("one").then(() => null));
  const { isSameClient } = await leaveAndReturn(t, host, async () => {
    // A shared worker does not go with the page that started it.
    if (kindOf(t) === "shared-worker") return;
    const moved = (before) => globalThis.bus.host.get().epoch > before;
    await other.waitFor(moved, { args: [epoch], what: "another tab hosts" });
    assert.equal((await hostOf(other)).here, kindOf(t) === "tab");
  });
  assert.equal((await idOf(host)) === id, isSameClient);
  await host.waitFor(() => !globalThis.bus.host.get().here, { what: "it follows the new host" });
  const info = await host.evaluate(() => globalThis.bus.queue("jobs").info());
  assert.equal(info.ready, 1);
});

test("the last frames of a tab are there for a report", everywhere, async (t) => {
  const host = await openBus(t, "host");
  const other = await openBus(t, "other");
  for (const tab of [host, other]) {
    const frames = await tab.evaluate(() => globalThis.__tabmqFrames);
    assert.ok(frames.length > 0 && frames.length <= 200, `${frames.length} frames`);
    assert.match(frames.join("\n"), /epoch/);
  }
});
