// The outbox: what was accepted and has no confirmation outlives its tab, and is stored once.
import assert from "node:assert/strict";
import { until } from "../lib/processes.mjs";
import { test } from "../lib/runner.mjs";
import { folders, joinBus, openBus, openPage, requireHost } from "./bus.mjs";

/** In a page, so that a host that is stopped or killed is the one that was meant. */
const KILLS = { folders, kills: true, host: "tab" };
/** WebKit was seen to give up the writes of a page that closes. */
const WRITES_AT_CLOSE = { ...KILLS, engines: ["chromium", "firefox"] };
const SWEPT = { deadline_ms: 30_000, what: "another tab has sent what the dead one left" };

/** In the page: asks for sends and waits for none of them. */
function sendNumbers(first, count) {
  globalThis.sends ??= [];
  const queue = globalThis.bus.queue("jobs");
  for (let number = first; number < first + count; number += 1)
    globalThis.sends.push(globalThis.outcome(queue.send(number, { timeout: Infinity })));
}

const bodies = async () => {
  const found = [];
  for await (const { body } of globalThis.bus.queue("jobs").browse()) found.push(body);
  return found;
};
/**
 * In the page: asks for sends whose host stands still, and waits until all are written down. In one
 * go, because a host that says nothing is replaced after a while, and then they are confirmed.
 */
async function sendUnanswered(first, count) {
  const queue = globalThis.bus.queue("jobs");
  globalThis.sends ??= [];
  for (let number = first; number < first + count; number += 1)
    globalThis.sends.push(globalThis.outcome(queue.send(number, { timeout: Infinity })));
  const { outbox } = globalThis.bus;
  let leave;
  await new Promise((resolve) => {
    const look = () => {
      const { accepted, sent } = outbox.get();
      if (accepted + sent === count) resolve();
    };
    leave = outbox.subscribe(look);
    look();
  });
  leave();
}

const isStored = (count) =>
  globalThis.bus
    .queue("jobs")
    .info()
    .then(({ ready }) => ready >= count, () => false);
const isEmpty = () =>
  Object.values(globalThis.bus.outbox.get()).every((number) => number === 0);

test("what a tab was to send is sent though it is killed and its host stands", KILLS, async (t) => {
  const host = await openBus(t, "host");
  await requireHost(host);
  const producer = await openBus(t, "producer");
  const other = await openBus(t, "other");
  await producer.evaluate(sendNumbers, 0, 1);
  await producer.waitFor(isStored, { args: [1] });
  const owners = await t.browser.requireOwnProcesses();
  await host.stop(owners);
  await producer.evaluate(sendUnanswered, 1, 5);
  await producer.kill(owners);
  await host.resume();
  await other.waitFor(isStored, { args: [6], ...SWEPT });
  await other.waitFor(isEmpty, { what: "the outbox is empty" });
  assert.deepEqual(await other.evaluate(bodies), [0, 1, 2, 3, 4, 5]);
});

test("the host is killed with its own sends on their way", KILLS, async (t) => {
  const host = await openBus(t, "host");
  await requireHost(host);
  const other = await openBus(t, "other");
  await host.evaluate(sendNumbers, 0, 50);
  await other.waitFor(isStored, { args: [50] });
  const owners = await t.browser.requireOwnProcesses();
  await host.evaluate(sendNumbers, 50, 50);
  await host.kill(owners);
  await other.waitFor(isStored, { args: [50], ...SWEPT });
  await other.waitFor(isEmpty, { what: "the outbox is empty", deadline_ms: 20_000 });
  const found = await other.evaluate(bodies);
  assert.deepEqual(found, Array.from({ length: found.length }, (_, index) => index));
});

test("the last tab leaves its sends to the next one", WRITES_AT_CLOSE, async (t) => {
  const host = await openBus(t, "host");
  await requireHost(host);
  const producer = await openBus(t, "producer");
  const owners = await t.browser.requireOwnProcesses();
  await host.stop(owners);
  await producer.evaluate(sendNumbers, 0, 3);
  // At once: leaving writes them down.
  await producer.close();
  await host.kill(owners);
  const later = await openBus(t, "later");
  await later.waitFor(isStored, { args: [3], ...SWEPT });
  await later.waitFor(isEmpty, { what: "the outbox is empty" });
  assert.deepEqual(await later.evaluate(bodies), [0, 1, 2]);
});

test("a page that is made anew goes on with its sends", KILLS, async (t) => {
  const host = await openBus(t, "host");
  await requireHost(host);
  const producer = await openBus(t, "producer");
  const before = await producer.evaluate(() => globalThis.bus.peer.id);
  const owners = await t.browser.requireOwnProcesses();
  await host.stop(owners);
  await producer.evaluate(sendNumbers, 0, 3);
  await producer.reload();
  const joining = joinBus(producer);
  await host.resume();
  await joining;
  assert.equal(await producer.evaluate(() => globalThis.bus.peer.id), before);
  await producer.evaluate(sendNumbers, 3, 2);
  await producer.waitFor(isStored, { args: [5], ...SWEPT });
  await producer.waitFor(isEmpty, { what: "the outbox is empty" });
  assert.deepEqual(await producer.evaluate(bodies), [0, 1, 2, 3, 4]);
});

test("a refusal that nobody heard stays until it is sent again or given up", KILLS, async (t) => {
  const host = await openBus(t, "host");
  await requireHost(host);
  const producer = await openBus(t, "producer");
  const other = await openBus(t, "other");
  const listen = () =>
    globalThis.bus.addEventListener("returned", ({ detail }) =>
      globalThis.inbox.push([detail.state, detail.code, detail.queue]),
    );
  for (const tab of [host, other]) await tab.evaluate(listen);
  await other.evaluate(() =>
    globalThis.bus.queue("jobs", { maxLength: 1 }).send(0).then(() => null),
  );
  const owners = await t.browser.requireOwnProcesses();
  await host.stop(owners);
  await producer.evaluate(sendUnanswered, 1, 2);
  await producer.kill(owners);
  await host.resume();
  await other.waitFor(() => globalThis.bus.outbox.get().refused === 2, SWEPT);
  const told = [
    ["refused", "FULL", "jobs"],
    ["refused", "FULL", "jobs"],
  ];
  // The count is known to all tabs, and the tab that swept tells of them as soon as it can.
  const inbox = () => globalThis.inbox;
  const heard = async () => [...(await host.evaluate(inbox)), ...(await other.evaluate(inbox))];
  const all = async () => (await heard()).length >= told.length;
  await until(all, 30_000, "a tab tells of them");
  assert.deepEqual(await heard(), told, "the tab that swept tells of them");
  const after = await other.evaluate(async () => {
    const { bus, outcome } = globalThis;
    const [first, second] = await bus.outbox.entries();
    await bus.queue("jobs").purge();
    await bus.outbox.retry(first.id);
    await bus.outbox.discard(second.id);
    const again = await outcome(bus.outbox.retry(first.id));
    const wrong = await outcome(bus.outbox.discard(5));
    return [again.code, wrong.code, first.own, first.code];
  });
  assert.deepEqual(after, ["NOT_FOUND", "INVALID", false, "FULL"]);
  await other.waitFor(isStored, { args: [1], what: "it is sent again" });
  await other.waitFor(isEmpty, { what: "the outbox is empty" });
  assert.deepEqual(await other.evaluate(bodies), [1]);
});

/** A tab of ann's is killed and leaves two sends, with no host of hers that lives. */
async function leaveOfAnn(t) {
  const host = await openBus(t, "host of ann", { user: "ann" });
  await requireHost(host);
  const producer = await openBus(t, "ann", { user: "ann" });
  const owners = await t.browser.requireOwnProcesses();
  await host.stop(owners);
  await producer.evaluate(sendUnanswered, 0, 2);
  await producer.kill(owners);
  await host.kill(owners);
}

const quarantined = (count) => globalThis.bus.outbox.get().quarantined === count;

test("what one user left is sent by a tab of the same user alone", KILLS, async (t) => {
  await leaveOfAnn(t);
  const bob = await openBus(t, "bob", { user: "bob" });
  await bob.waitFor(quarantined, { args: [2], what: "bob sees that there is something" });
  assert.deepEqual(await bob.evaluate(() => globalThis.bus.outbox.entries()), []);
  const ann = await openBus(t, "ann again", { user: "ann" });
  await ann.waitFor(isStored, { args: [2], ...SWEPT });
  await ann.waitFor(isEmpty, { what: "the outbox is empty" });
  const stored = await bob.evaluate(() => globalThis.outcome(globalThis.bus.queue("jobs").info()));
  assert.equal(stored.code ?? stored.value.ready, "NOT_FOUND");
});

/** In the page: the database answers none of the first `count` reads of what is written down. */
function failReads(count) {
  globalThis.reads = 0;
  const { getAll } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.getAll = function (...range) {
    if (!this.transaction.db.name.startsWith("tabmq-outbox")) return getAll.apply(this, range);
    globalThis.reads += 1;
    if (globalThis.reads <= count) throw new DOMException("not now", "UnknownError");
    return getAll.apply(this, range);
  };
}

test("what was left is found though its database fails at first", KILLS, async (t) => {
  await leaveOfAnn(t);
  const bob = await openPage(t, "bob");
  // A look reads twice, and a change of the peers may ask for a second one.
  const failing = 4;
  await bob.evaluate(failReads, failing);
  await joinBus(bob, { user: "bob" });
  await bob.waitFor(quarantined, { args: [2], what: "bob sees that there is something" });
  assert.ok((await bob.evaluate(() => globalThis.reads)) > failing);
});

test("what another user left can be given up", KILLS, async (t) => {
  await leaveOfAnn(t);
  const bob = await openBus(t, "bob", { user: "bob" });
  await bob.waitFor(quarantined, { args: [2], what: "bob sees that there is something" });
  assert.equal(await bob.evaluate(() => globalThis.bus.outbox.discardOthers()), 2);
  await bob.waitFor(isEmpty, { what: "the outbox is empty" });
});

test("a send that no host has can be discarded", KILLS, async (t) => {
  const host = await openBus(t, "host");
  await requireHost(host);
  const producer = await openBus(t, "producer");
  const owners = await t.browser.requireOwnProcesses();
  await host.stop(owners);
  const refused = await producer.evaluate(`async () => {
    await (${sendUnanswered})(0, 1);
    const [entry] = await globalThis.bus.outbox.entries();
    const end = await globalThis.outcome(globalThis.bus.outbox.discard(entry.id));
    return [entry.state, entry.own, end.code];
  }`);
  assert.deepEqual(refused, ["sent", true, "INVALID"], "the host may have it");
  await host.resume();
  await producer.waitFor(isEmpty, { what: "it is confirmed" });
});

test("what another tab has sent for a cached page is not sent again", KILLS, async (t) => {
  // Firefox caches no page that holds a lock: there it is made anew.
  const cached = t.engine !== "firefox";
  const host = await openBus(t, "host");
  await requireHost(host);
  const tab = await openBus(t, "cached");
  const owners = await t.browser.requireOwnProcesses();
  await host.stop(owners);
  await tab.evaluate(sendNumbers, 0, 2);
  await tab.evaluate(() => {
    addEventListener("pageshow", ({ persisted }) => (globalThis.persisted = persisted));
  });
  await tab.goto(t.server.url("/second.html"));
  await host.resume();
  await host.waitFor(isStored, { args: [2], ...SWEPT });
  await host.waitFor(isEmpty, { what: "the outbox is empty" });
  await tab.back();
  if (cached) {
    await tab.waitFor(() => globalThis.persisted === true, { what: "the page was in the cache" });
    const ends = await tab.evaluate(() => Promise.all(globalThis.sends));
    // In doubt, unless the host's answer waited for the page.
    const codes = new Set(ends.map(({ code }) => code));
    assert.ok(codes.size === 1 && [undefined, "UNAVAILABLE"].includes([...codes][0]));
  } else {
    await tab.waitFor(() => globalThis.tabmq !== undefined, { what: "the page has loaded again" });
    await joinBus(tab);
  }
  await tab.evaluate(sendNumbers, 2, 1);
  await host.waitFor(isStored, { args: [3], what: "what it sends now is stored" });
  assert.deepEqual(await host.evaluate(bodies), [0, 1, 2]);
});

test("sends that are answered in time are written down nowhere else", { folders }, async (t) => {
  const tab = await openPage(t, "tab");
  await tab.evaluate(() => {
    globalThis.puts = 0;
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function (...what) {
      if (this.transaction.db.name.startsWith("tabmq-outbox")) globalThis.puts += 1;
      return put.apply(this, what);
    };
  });
  await joinBus(tab);
  const puts = await tab.evaluate(async () => {
    const queue = globalThis.bus.queue("jobs");
    for (let number = 0; number < 200; number += 1) await queue.send(number);
    return globalThis.puts;
  });
  t.measure("written_of_200", puts);
  assert.ok(puts <= 20, `${puts} of 200 were written down`);
});

/**
 * In the page, in one go as above: two sends, and the database takes the second one later.
 * Resolves with all that was told of their number until then.
 */
async function sendOneWrittenLater() {
  const { bus, outcome } = globalThis;
  const changes = new EventTarget();
  const seen = async (condition) => {
    while (!condition())
      await new Promise((resolve) => changes.addEventListener("change", resolve, { once: true }));
  };
  const tried = [];
  let taken = 0;
  const { put } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = function (value, key) {
    if (this.transaction.db.name.startsWith("tabmq-outbox") && Array.isArray(key)) {
      if (!tried.includes(key[2])) tried.push(key[2]);
      changes.dispatchEvent(new Event("change"));
      if (tried.indexOf(key[2]) >= taken) throw new DOMException("not now", "UnknownError");
    }
    return put.call(this, value, key);
  };
  const told = [];
  bus.outbox.subscribe(({ accepted, sent }) => {
    told.push(accepted + sent);
    changes.dispatchEvent(new Event("change"));
  });
  globalThis.sends = [];
  for (const number of [0, 1]) {
    globalThis.sends.push(outcome(bus.queue("jobs").send(number, { timeout: Infinity })));
    await seen(() => tried.length > number);
  }
  taken = 1;
  await seen(() => told.includes(1));
  const before = [...told];
  taken = 2;
  await seen(() => told.includes(2));
  return before;
}

test("a send is accepted once it is written down, and not before", KILLS, async (t) => {
  const host = await openBus(t, "host");
  await requireHost(host);
  const producer = await openBus(t, "producer");
  const owners = await t.browser.requireOwnProcesses();
  await host.stop(owners);
  assert.deepEqual(await producer.evaluate(sendOneWrittenLater), [1]);
  await host.resume();
  await producer.waitFor(isStored, { args: [2], what: "both are stored" });
  await producer.waitFor(isEmpty, { what: "the outbox is empty" });
});
