// The inbox of tabmq/idb: the effect of a delivery happens once, whatever dies beside it.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

/** In the page: the database of an app, with an account and an inbox. */
async function openDatabase() {
  const { createInbox, inbox } = await import("/tabmq/idb.js");
  const request = indexedDB.open("app", 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("accounts");
    createInbox(request.result);
    createInbox(request.result);
  };
  globalThis.db = await new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  globalThis.marks = inbox(globalThis.db);
  /** Adds to the account, with plain requests. */
  globalThis.add = (amount) => (tx) => {
    const accounts = tx.objectStore("accounts");
    const read = accounts.get("a");
    read.onsuccess = () => accounts.put((read.result ?? 0) + amount, "a");
  };
  globalThis.read = (store, query) =>
    new Promise((resolve) => {
      const read = globalThis.db.transaction(store).objectStore(store)[query]("a");
      read.onsuccess = () => resolve(read.result);
    });
  globalThis.countMarks = () =>
    new Promise((resolve) => {
      const count = globalThis.db.transaction("tabmq-inbox").objectStore("tabmq-inbox").count();
      count.onsuccess = () => resolve(count.result);
    });
  globalThis.receive = async () => (await globalThis.bus.queue("pay").receive())[0];
}

test("a tab is killed between effect and acknowledgement", { folders, kills: true }, async (t) => {
  const first = await openBus(t, "first");
  const second = await openBus(t, "second");
  await first.evaluate(openDatabase);
  await second.evaluate(openDatabase);
  await first.evaluate(async () => {
    await globalThis.bus.queue("pay").send(5);
    const delivery = await globalThis.receive();
    const ran = await globalThis.marks.once(delivery, ["accounts"], globalThis.add(delivery.body));
    globalThis.inbox.push(["ran", ran]);
  });
  assert.deepEqual(await first.evaluate(() => globalThis.inbox), [["ran", true]]);
  await first.kill(await t.browser.requireOwnProcesses());
  const again = await second.evaluate(async () => {
    const delivery = await globalThis.receive();
    const ran = await globalThis.marks.once(delivery, "accounts", globalThis.add(delivery.body));
    const marks = await globalThis.countMarks();
    await delivery.ack();
    const { attempt, acked } = delivery;
    return { ran, attempt, acked, marks, balance: await globalThis.read("accounts", "get") };
  });
  assert.deepEqual(again, { ran: false, attempt: 2, acked: true, marks: 1, balance: 5 });
  const processOne = async () => {
    await globalThis.bus.queue("pay").send(2);
    const delivery = await globalThis.receive();
    const ran = await globalThis.marks.once(delivery, ["accounts"], globalThis.add(delivery.body));
    await delivery.ack();
    return { ran, marks: await globalThis.countMarks() };
  };
  const next = await second.evaluate(processOne);
  assert.deepEqual(next, { ran: true, marks: 2 }, "the mark of what came twice stays");
  const last = await second.evaluate(processOne);
  assert.deepEqual(last, { ran: true, marks: 2 }, "the mark of what came once is gone");
});

/** In the page: stands still until the server answers, and goes on with what it had before. */
async function standStillAndGoOn() {
  const [delivery] = await globalThis.bus.queue("pay").receive();
  const request = new XMLHttpRequest();
  request.open("GET", "/stands-still", false);
  request.send();
  return globalThis.marks.once(delivery, ["accounts"], globalThis.add(delivery.body));
}

/** A page that stands still must not stop others, so each has a process of its own. */
const APART = { folders, kills: true };

test("a tab that stood still goes on with what another has done", APART, async (t) => {
  const other = await openBus(t, "other");
  const slow = await openBus(t, "slow");
  for (const tab of [other, slow]) await tab.evaluate(openDatabase);
  const still = new Promise((resolve) => {
    t.server.setHandler("/stands-still", (_, response) => resolve(response));
  });
  await other.evaluate(async () => {
    const pay = globalThis.bus.queue("pay", { lease: "1s", backoff: 1 });
    await pay.send(5);
  });
  const late = slow.evaluateWithin(60_000, standStillAndGoOn);
  const response = await still;
  const balance = await other.evaluate(async () => {
    // That lease ends soon, and nobody needs to hurry with the ones to come.
    await globalThis.bus.admin.declare("pay", { lease: "1m", backoff: 1 });
    for (const amount of [5, 1]) {
      if (amount !== 5) await globalThis.bus.queue("pay").send(amount);
      const delivery = await globalThis.receive();
      await globalThis.marks.once(delivery, ["accounts"], globalThis.add(delivery.body));
      await delivery.ack();
    }
    return globalThis.read("accounts", "get");
  });
  assert.equal(balance, 6);
  response.writeHead(204).end();
  assert.equal(await late, false, "its effect is there");
  assert.equal(await other.evaluate(() => globalThis.read("accounts", "get")), 6);
});

test("a chain and its effects happen once though tabs die in it", { folders }, async (t) => {
  const watcher = await openBus(t, "watcher");
  await watcher.evaluate(openDatabase);
  const work = async () => {
    const stage = globalThis.bus.queue("pay", { lease: "2s" });
    const handle = async (job) => {
      await globalThis.marks.once(job, ["accounts"], globalThis.add(job.body));
      job.tx.queue("paid").send(job.body);
    };
    await stage.process({ concurrency: 5 }, handle).ready();
  };
  const workers = [];
  for (const label of ["one", "two"]) {
    const worker = await openBus(t, label);
    await worker.evaluate(openDatabase);
    await worker.evaluate(work);
    workers.push(worker);
  }
  const COUNT = 60;
  await watcher.evaluate((count) => {
    const items = Array.from({ length: count }, (_, index) => ({ body: index }));
    globalThis.sending = globalThis.bus.queue("pay", { lease: "2s" }).sendBatch(items);
    return globalThis.sending.then(() => null);
  }, COUNT);
  await workers[0].close();
  const paid = (count) =>
    globalThis.bus.queue("paid").info().then(({ ready }) => ready >= count, () => false);
  await watcher.waitFor(paid, { args: [COUNT], deadline_ms: 20_000, what: "all are paid" });
  const { bodies, balance } = await watcher.evaluate(async () => {
    const found = [];
    for await (const { body } of globalThis.bus.queue("paid").browse()) found.push(body);
    return { bodies: found, balance: await globalThis.read("accounts", "get") };
  });
  assert.deepEqual(
    bodies.sort((a, b) => a - b),
    Array.from({ length: COUNT }, (_, index) => index),
  );
  assert.equal(balance, (COUNT * (COUNT - 1)) / 2);
});

/** In the page: how each of these ends. */
async function failEffects() {
  const { db, marks, add, read, outcome } = globalThis;
  const { inbox } = await import("/tabmq/idb.js");
  await globalThis.bus.queue("pay").send(1);
  globalThis.delivery = await globalThis.receive();
  const { delivery } = globalThis;
  const once = (effect, options) => marks.once(delivery, "accounts", effect, options);
  const wrong = (tx) => {
    add(1)(tx);
    throw new RangeError("no");
  };
  const elsewhere = async (tx) => {
    add(1)(tx);
    await fetch("/bus/index.html");
    tx.objectStore("accounts").put(9, "a");
  };
  const twice = (tx) => {
    tx.objectStore("accounts").add(1, "b");
    tx.objectStore("accounts").add(1, "b");
  };
  const never = (tx) => {
    add(1)(tx);
    return new Promise(() => {});
  };
  const controller = new AbortController();
  const aborted = (tx) => {
    add(1)(tx);
    queueMicrotask(() => controller.abort());
    return new Promise(() => {});
  };
  const { signal } = controller;
  const verbs = {
    throws: () => once(wrong),
    "awaits elsewhere": () => once(elsewhere),
    constraint: () => once(twice),
    timeout: () => once(never, { timeout: 30 }),
    aborted: () => once(aborted, { signal }),
    "no store": () => marks.once(delivery, "absent", add(1)),
    "no inbox": () => inbox(db, { store: "absent" }).once(delivery, [], () => {}),
    "no effect": () => once(),
    "no delivery": () => marks.once({}, "accounts", add(1)),
    "bad scope": () => inbox(db, { scope: 5 }),
  };
  const found = {};
  for (const [name, begin] of Object.entries(verbs)) {
    const { code, name: kind } = await outcome((async () => begin())());
    found[name] = code || kind;
  }
  found.balance = (await read("accounts", "get")) ?? null;
  found.marks = await globalThis.countMarks();
  return found;
}

test("an effect that fails leaves nothing, and says why", { folders }, async (t) => {
  const tab = await openBus(t, "tab");
  await tab.evaluate(openDatabase);
  assert.deepEqual(await tab.evaluate(failEffects), {
    throws: "RangeError",
    "awaits elsewhere": "TransactionInactiveError",
    constraint: "STORAGE",
    timeout: "TIMEOUT",
    aborted: "CANCELLED",
    "no store": "INVALID",
    "no inbox": "INVALID",
    "no effect": "INVALID",
    "no delivery": "INVALID",
    "bad scope": "INVALID",
    balance: null,
    marks: 0,
  });
  const closed = await tab.evaluate(() => {
    globalThis.db.close();
    return globalThis.outcome(globalThis.marks.once(globalThis.delivery, [], () => {}));
  });
  assert.equal(closed.code, "CLOSED");
});

test("an async effect is stored as one, and then found", { folders }, async (t) => {
  const tab = await openBus(t, "tab");
  await tab.evaluate(openDatabase);
  const found = await tab.evaluate(async () => {
    const { marks, add, read } = globalThis;
    await globalThis.bus.queue("pay").send(1);
    const delivery = await globalThis.receive();
    const get = (request) =>
      new Promise((resolve) => {
        request.onsuccess = () => resolve(request.result);
      });
    const effect = async (tx) => {
      const accounts = tx.objectStore("accounts");
      const before = (await get(accounts.get("a"))) ?? 0;
      await get(accounts.put(before + 7, "a"));
      await get(accounts.put(before + 8, "a"));
    };
    const ran = [
      await marks.once(delivery, "accounts", effect),
      await marks.once(delivery, "accounts", add(1)),
    ];
    return [ran, await read("accounts", "get")];
  });
  assert.deepEqual(found, [[true, false], 8]);
});
