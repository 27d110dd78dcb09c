// The storage in IndexedDB is held to the list that all storages are held to, and to what can
// happen to it. No transaction is ever stored in part, so there is no torn tail to make here; a
// writer that dies in any of its calls shows that. What is damaged or missing in a database is
// noticed by the log, so a whole bus is given it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../lib/run.mjs";
import { test } from "../lib/runner.mjs";
import { folders, hostOf, joinBus, openBus, openPage, PATIENT } from "./bus.mjs";

/** The page itself is to host: what is done to its storage must reach the node. */
const inPage = { folders, host: "tab" };

const SCENARIOS = JSON.parse(readFileSync(join(ROOT, "tests/log/conformance.json"), "utf8"));
const border = { folders: { "/storage-border/": join(ROOT, "target/storage-border") } };

async function openStorage(t, label) {
  const tab = await t.openTab("/storage/index.html", { label });
  await tab.waitFor(() => globalThis.loaded, { what: "the module has loaded" });
  return tab;
}

/** In the page: performs the steps of one writer, or of both. */
async function performAll(name, steps) {
  const stores = { a: new globalThis.Store(name), b: new globalThis.Store(name) };
  const answers = [];
  for (const [writer, action, given] of steps) {
    if (action === "reopen") {
      stores[writer].free();
      stores[writer] = new globalThis.Store(name);
      answers.push(undefined);
    } else answers.push(await globalThis.perform(stores[writer], action, given));
  }
  for (const store of Object.values(stores)) store.free();
  return answers;
}

test("IndexedDB does what every storage does", border, async (t) => {
  const tab = await openStorage(t, "storage");
  for (const [number, { name, steps }] of SCENARIOS.entries()) {
    const answers = await tab.evaluate(performAll, `list ${number}`, steps);
    const wanted = steps.map(([, , , answer]) => answer ?? null);
    assert.deepEqual(answers, wanted, name);
  }
});

test("two tabs that write do what every storage does", border, async (t) => {
  const tabs = { a: await openStorage(t, "a"), b: await openStorage(t, "b") };
  for (const [number, { name, steps }] of SCENARIOS.entries()) {
    const open = (database) => {
      globalThis.store?.free();
      globalThis.store = new globalThis.Store(database);
    };
    for (const tab of Object.values(tabs)) await tab.evaluate(open, `list ${number}`);
    for (const [writer, action, given, answer] of steps) {
      const tab = tabs[writer];
      const perform = (...step) => globalThis.perform(globalThis.store, ...step);
      if (action === "reopen") await tab.evaluate(open, `list ${number}`);
      else assert.deepEqual(await tab.evaluate(perform, action, given), answer ?? null, name);
    }
  }
});

/**
 * In the page: a frame claims and writes, and is taken away in its call of this number into
 * IndexedDB. Resolves with how far it said it was, and what the next writer finds.
 */
async function dieAt(number) {
  const REQUESTS = ["add", "put", "delete", "get", "getKey", "getAllKeys"];
  const name = `death ${number}`;
  const first = await globalThis.claimed(name, 1);
  await globalThis.perform(first, "commit", { expect: 1, puts: [["chunk", 1, "1"]] });
  first.free();
  const frame = document.createElement("iframe");
  const loaded = new Promise((resolve) => (globalThis.onFrameLoaded = resolve));
  frame.src = "/storage/index.html";
  document.body.append(frame);
  await loaded;
  const inner = frame.contentWindow;
  const told = [];
  let ended;
  const end = new Promise((resolve) => (ended = resolve));
  let count = 0;
  const effects = [
    [inner.IDBFactory, "open"],
    [inner.IDBDatabase, "transaction"],
    [inner.IDBDatabase, "close"],
    [inner.IDBTransaction, "commit"],
    ...REQUESTS.map((request) => [inner.IDBObjectStore, request]),
  ];
  for (const [owner, effect] of effects) {
    const before = owner.prototype[effect];
    owner.prototype[effect] = function dying(...parameters) {
      count += 1;
      if (count !== number) return before.apply(this, parameters);
      frame.remove();
      ended(true);
      throw new Error("the frame is gone");
    };
  }
  const work = async () => {
    const store = await inner.claimed(name, 2);
    for (let chunk = 2; chunk <= 4; chunk += 1) {
      const deletes = chunk === 4 ? [["chunk", 1]] : [];
      const puts = [["chunk", chunk, `${chunk}`]];
      const strict = chunk !== 3;
      const answer = await inner.perform(store, "commit", { expect: 2, strict, puts, deletes });
      if (answer !== "committed") throw new Error(answer);
      told.push(chunk);
    }
    store.free();
    ended(false);
  };
  work().catch(() => {});
  const died = await end;
  const next = await globalThis.claimed(name, 3);
  const found = await globalThis.chunks(next);
  await globalThis.perform(next, "commit", { expect: 3, puts: [["chunk", 9, "9"]] });
  next.free();
  const last = new globalThis.Store(name);
  await globalThis.perform(last, "open");
  const again = await globalThis.chunks(last);
  last.free();
  frame.remove();
  return { died, told: told.length, found: found.join(" "), again: again.join(" ") };
}

const deaths = { ...border, deadline_ms: 180_000 };

test("a writer may die in any call: what was confirmed is there", deaths, async (t) => {
  const tab = await openStorage(t, "storage");
  let number = 0;
  for (let died = true; died; ) {
    number += 1;
    const outcome = await tab.evaluate(dieAt, number);
    died = outcome.died;
    // All that was told, and of what was under way all or nothing.
    const at = ["1", "1 2", "1 2 3", "2 3 4"].indexOf(outcome.found);
    assert.ok([0, 1].includes(at - outcome.told), `call ${number}: ${JSON.stringify(outcome)}`);
    assert.equal(outcome.again, `${outcome.found} 9`);
  }
  t.measure("deaths", number - 1);
  assert.ok(number > 25, `${number} calls`);
});

/** In the page: opens the database of the bus beside it. */
function openDatabase() {
  globalThis.openedDatabase = async (version) => {
    const name = "tabmq:test";
    return new Promise((resolve, reject) => {
      const request = indexedDB.open(name, version);
      request.addEventListener("success", () => resolve(request.result));
      request.addEventListener("error", () => reject(request.error));
    });
  };
  /** Changes one chunk of those that are stored: it is given all numbers, and the bytes. */
  globalThis.changeChunk = async (at, bit) => {
    const database = await globalThis.openedDatabase();
    const transaction = database.transaction("chunks", "readwrite");
    const done = new Promise((resolve) => transaction.addEventListener("complete", resolve));
    const store = transaction.objectStore("chunks");
    const keys = store.getAllKeys();
    keys.addEventListener("success", () => {
      const key = keys.result.filter((number) => number > 0).at(at);
      if (bit === undefined) return store.delete(key);
      const value = store.get(key);
      value.addEventListener("success", () => {
        const bytes = value.result;
        bytes[Math.floor((bit * bytes.length) / 8)] ^= 1 << bit;
        store.put(bytes, key);
      });
    });
    await done;
    database.close();
  };
}

/** A tab whose bus has stored five messages and is closed again. */
async function openStored(t) {
  const tab = await openBus(t, "first");
  await tab.evaluate(async () => {
    for (let number = 0; number < 5; number += 1) await globalThis.bus.queue("jobs").send(number);
    await globalThis.bus.close();
  });
  await tab.evaluate(openDatabase);
  return tab;
}

/** Opens the bus anew; resolves with the first error it tells. */
async function errorOf(t) {
  const tab = await openPage(t, "next");
  return tab.evaluate(async () => {
    const bus = globalThis.tabmq.createBus("test", { host: "tab" });
    const error = new Promise((resolve) => {
      bus.addEventListener("error", ({ detail: { code, data } }) => resolve([code, data.reason]));
    });
    bus.ready().catch(() => {});
    const told = await error;
    await bus.close();
    return told;
  });
}

const flip = "a bit that flips in a stored chunk, the last as well, is corruption";

test(flip, inPage, async (t) => {
  const tab = await openStored(t);
  for (const at of [-1, -2]) {
    for (const bit of [1, 4, 7]) {
      await tab.evaluate((...where) => globalThis.changeChunk(...where), at, bit);
      assert.deepEqual(await errorOf(t), ["STORAGE", "corruption"], `chunk ${at}, bit ${bit}`);
      await tab.evaluate((...where) => globalThis.changeChunk(...where), at, bit);
    }
  }
  assert.equal((await joinBus(tab)).storage, "indexeddb");
  assert.equal((await tab.evaluate(() => globalThis.bus.queue("jobs").info())).ready, 5);
});

test("a chunk that is missing is told, and nothing is made up", inPage, async (t) => {
  const tab = await openStored(t);
  await tab.evaluate(() => globalThis.changeChunk(-2));
  assert.deepEqual(await errorOf(t), ["STORAGE", "missing chunk"]);
});

/** In the page: puts a log in place of what the database of the bus has. */
async function replaceLog(lines) {
  const database = await globalThis.openedDatabase();
  const names = [...database.objectStoreNames];
  const transaction = database.transaction(names, "readwrite");
  const done = new Promise((resolve) => transaction.addEventListener("complete", resolve));
  for (const name of names) transaction.objectStore(name).clear();
  const bytes = (hex) => Uint8Array.from(hex.match(/../g), (digits) => parseInt(digits, 16));
  for (const [kind, number, value] of lines) {
    if (kind === "fence") {
      const epoch = new DataView(new ArrayBuffer(11));
      // A list of a short number and one of eight bytes.
      epoch.setUint16(0, 0x8200 + Number(number));
      epoch.setUint8(2, 0x1b);
      epoch.setBigUint64(3, BigInt(value));
      transaction.objectStore("meta").put(new Uint8Array(epoch.buffer), "fence");
    } else if (kind === "manifest") transaction.objectStore("meta").put(bytes(value), "manifest");
    else transaction.objectStore(`${kind}s`).put(bytes(value), Number(number));
  }
  await done;
  database.close();
}

const formats = "a log of the first format is read from IndexedDB, one of a later refused";

test(formats, inPage, async (t) => {
  const tab = await openStored(t);
  const text = readFileSync(join(ROOT, "tests/broker/format1.txt"), "utf8");
  const lines = text.trim().split("\n").map((line) => line.split(" "));
  await tab.evaluate(replaceLog, lines);
  await joinBus(tab);
  const counts = await tab.evaluate(async () => {
    const countsOf = async (name) => {
      const { ready, leased, delayed } = await globalThis.bus.queue(name).info();
      return ready + leased + delayed;
    };
    return [await countsOf("work"), await countsOf("later"), await countsOf("work.dead")];
  });
  assert.deepEqual(counts, [38, 1, 1]);
  await tab.evaluate(async () => {
    await globalThis.bus.close();
    (await globalThis.openedDatabase(2)).close();
  });
  assert.deepEqual(await errorOf(t), ["UPGRADE_REQUIRED", "database version"]);
});

/** In the page: sends one message after the other and keeps which are confirmed, and news. */
function keepSending() {
  globalThis.confirmed = [];
  globalThis.told = [];
  globalThis.bus.addEventListener("storage", ({ detail }) => globalThis.told.push(detail));
  globalThis.sending = (async () => {
    for (let number = 0; !globalThis.stopped; number += 1) {
      await globalThis.bus.queue("jobs").send(number);
      globalThis.confirmed.push(number);
    }
  })();
}

async function confirmMore(tab, count) {
  const before = await tab.evaluate(() => globalThis.confirmed.length);
  const more = (wanted) => globalThis.confirmed.length >= wanted;
  await tab.waitFor(more, { args: [before + count], what: "sends are confirmed" });
}

/** In the page: what waits in the queue. */
async function waiting() {
  const bodies = [];
  for await (const { body } of globalThis.bus.queue("jobs").browse()) bodies.push(body);
  return bodies;
}

/** In the page: the next transactions throw as WebKit's do once its server is lost. */
function breakConnection(times) {
  const { transaction } = IDBDatabase.prototype;
  let left = times;
  IDBDatabase.prototype.transaction = function begin(...parameters) {
    if (left === 0) return transaction.apply(this, parameters);
    left -= 1;
    throw new DOMException("Connection to Indexed Database server lost", "InvalidStateError");
  };
}

/** In the page: the next transactions are aborted once everything was asked of them. */
function abortTransactions(times) {
  const { commit } = IDBTransaction.prototype;
  let left = times;
  IDBTransaction.prototype.commit = function abort() {
    if (left === 0) return commit.apply(this);
    left -= 1;
    return this.abort();
  };
}

for (const [name, fault] of [["is lost", breakConnection], ["drops a commit", abortTransactions]]) {
  test(`a connection that ${name} is opened anew by the same node`, inPage, async (t) => {
    const host = await openBus(t, "host", PATIENT);
    const producer = await openBus(t, "producer", PATIENT);
    const { epoch } = await hostOf(producer);
    await producer.evaluate(keepSending);
    for (const times of [1, 2, 1]) {
      await confirmMore(producer, 20);
      await host.evaluate(fault, times);
    }
    await confirmMore(producer, 20);
    await producer.evaluate(() => {
      globalThis.stopped = true;
      return globalThis.sending;
    });
    assert.equal((await hostOf(producer)).epoch, epoch, "no other node was needed");
    assert.deepEqual(await producer.evaluate(() => globalThis.told), []);
    const confirmed = await producer.evaluate(() => globalThis.confirmed);
    assert.deepEqual(await producer.evaluate(waiting), confirmed, "each is there once, in order");
  });
}

/** In the page: drops all databases of the origin, as "clear site data" does. */
async function deleteDatabases() {
  for (const { name } of await indexedDB.databases()) {
    await new Promise((resolve, reject) => {
      const request = indexedDB.deleteDatabase(name);
      request.addEventListener("success", resolve);
      request.addEventListener("error", () => reject(request.error));
    });
  }
}

/** Everything is cleared under two tabs that do nothing; both are told what they lost. */
async function clearUnder(t, clear) {
  const host = await openBus(t, "host");
  const producer = await openBus(t, "producer");
  await producer.evaluate(async () => {
    globalThis.told = [];
    globalThis.bus.addEventListener("storage", ({ detail }) => globalThis.told.push(detail));
    for (let number = 0; number < 3; number += 1) await globalThis.bus.queue("jobs").send(number);
  });
  const { epoch } = await hostOf(producer);
  await clear(host);
  await producer.waitFor(() => globalThis.told.length > 0, { what: "the loss is told" });
  const { partitioned, ...told } = (await producer.evaluate(() => globalThis.told))[0];
  assert.deepEqual(told, {
    code: "STORAGE",
    reason: "cleared",
    number: 3,
    durability: "strict",
    persisted: false,
    evictable: true,
    fenced: true,
  });
  assert.equal(partitioned, false);
  assert.ok((await hostOf(producer)).epoch > epoch, "a new log has a new node");
  await producer.evaluate(() => globalThis.bus.queue("jobs").send("after"));
  assert.deepEqual(await host.evaluate(waiting), ["after"]);
  for (const tab of [host, producer])
    assert.deepEqual(await tab.evaluate(() => globalThis.inbox), []);
}

test("a database that another tab deletes is told as lost", inPage, async (t) => {
  await clearUnder(t, async () => {
    const other = await t.openTab("/blank.html", { label: "other" });
    await other.evaluate(deleteDatabases);
  });
});

const cleared = { ...inPage, engines: ["chromium"] };

test("site data cleared under a running host is told as lost", cleared, async (t) => {
  await clearUnder(t, async (host) => {
    const session = await host.page.createCDPSession();
    const data = { origin: t.server.origin, storageTypes: "all" };
    await session.send("Storage.clearDataForOrigin", data);
  });
});

test("an end that was lost behind a broken connection is noticed", inPage, async (t) => {
  const host = await openBus(t, "host");
  const producer = await openBus(t, "producer");
  const sent = () => globalThis.bus.queue("jobs").send("sent");
  for (let count = 0; count < 4; count += 1) await producer.evaluate(sent);
  await producer.evaluate(() => {
    globalThis.told = [];
    globalThis.bus.addEventListener("storage", ({ detail }) => globalThis.told.push(detail));
  });
  const { epoch } = await hostOf(producer);
  await host.evaluate(openDatabase);
  await host.evaluate(() => globalThis.changeChunk(-1));
  await host.evaluate(breakConnection, 1);
  await producer.evaluate(sent).catch(() => {});
  await producer.waitFor(() => globalThis.told.length > 0, { what: "the loss is told" });
  const told = await producer.evaluate(() => globalThis.told);
  assert.deepEqual(told.map(({ reason, number }) => [reason, number]), [["rolled-back", 1]]);
  assert.ok((await hostOf(producer)).epoch > epoch, "the log was read again");
  assert.deepEqual(await producer.evaluate(waiting), ["sent", "sent", "sent"]);
});
