// The outbox of tabmq/idb: what an application writes, the mark of what it consumed and the message
// it sends are one transaction, whatever dies beside it.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

const ALL = { deadline_ms: 30_000, what: "all is processed and sent" };

/** In the page: the database of an app, with accounts, an inbox and an outbox. */
async function openDatabase() {
  const { createInbox, createOutbox, inbox, outbox } = await import("/tabmq/idb.js");
  const request = indexedDB.open("app", 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("accounts");
    createInbox(request.result);
    createOutbox(request.result);
    createOutbox(request.result);
  };
  globalThis.db = await new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  globalThis.marks = inbox(globalThis.db);
  globalThis.box = outbox(globalThis.db, globalThis.bus);
  globalThis.read = (key) =>
    new Promise((resolve) => {
      const read = globalThis.db.transaction("accounts").objectStore("accounts").get(key);
      read.onsuccess = () => resolve(read.result ?? null);
    });
  globalThis.bodies = async (queue) => {
    const found = [];
    for await (const { body } of globalThis.bus.queue(queue).browse()) found.push(body);
    return found;
  };
  /** Consumes one message: counts it and passes it on. */
  globalThis.handle = async (job) => {
    const { marks, box } = globalThis;
    await marks.once(job, ["accounts", box.store], (tx) => {
      const accounts = tx.objectStore("accounts");
      const read = accounts.get("handled");
      read.onsuccess = () => accounts.put([...(read.result ?? []), job.body], "handled");
      box.send(tx, "out", job.body);
    });
  };
}

test("what is written is sent in order, and what fails is not", { folders }, async (t) => {
  const tab = await openBus(t, "tab");
  await tab.evaluate(openDatabase);
  const found = await tab.evaluate(async () => {
    const { box, outcome, bodies } = globalThis;
    const write = (number) =>
      box.write("accounts", (tx, send) => {
        tx.objectStore("accounts").put(number, "a");
        send("out", number, { headers: { of: "app" } });
        send("out", number + 0.5);
        return number;
      });
    const results = [await write(1), await write(2)];
    const failed = await outcome(
      box.write("accounts", (tx, send) => {
        tx.objectStore("accounts").put(9, "a");
        send("out", 9);
        throw new RangeError("no");
      }),
    );
    await box.flush();
    const written = await globalThis.read("a");
    return [results, failed.name, written, await bodies("out"), await box.entries()];
  });
  assert.deepEqual(found, [[1, 2], "RangeError", 2, [1, 1.5, 2, 2.5], []]);
});

test("what can't be sent is refused before anything is stored", { folders }, async (t) => {
  const tab = await openBus(t, "tab");
  await tab.evaluate(openDatabase);
  const codes = await tab.evaluate(async () => {
    const { box, bus, db, outcome } = globalThis;
    const { outbox } = await import("/tabmq/idb.js");
    const write = (...message) => outcome(box.write([], (_, send) => send(...message)));
    const verbs = {
      blob: await write("out", new Blob(["x"])),
      "no queue": await write("", 1),
      "bad option": await write("out", 1, { durability: "strict" }),
      unencodable: await write("out", () => {}),
      "other stores": await outcome((async () => box.send(db.transaction("accounts"), "out", 1))()),
      "no bus": await outcome((async () => outbox(db, {}))()),
      "no store": await outcome((async () => box.write("absent", () => {}))()),
      "no entry": await outcome(box.retry("77")),
      "no id": await outcome(box.discard("x")),
    };
    await outcome(bus.queue("out").info());
    const found = Object.fromEntries(Object.entries(verbs).map(([name, { code }]) => [name, code]));
    return [found, await box.entries()];
  });
  assert.deepEqual(codes, [
    {
      blob: "INVALID",
      "no queue": "INVALID",
      "bad option": "INVALID",
      unencodable: "UNENCODABLE",
      "other stores": "INVALID",
      "no bus": "INVALID",
      "no store": "INVALID",
      "no entry": "NOT_FOUND",
      "no id": "INVALID",
    },
    [],
  ]);
});

test("a message that is refused stays until it is sent or given up", { folders }, async (t) => {
  const tab = await openBus(t, "tab");
  await tab.evaluate(openDatabase);
  const found = await tab.evaluate(async () => {
    const { box, bus, bodies } = globalThis;
    bus.addEventListener("returned", ({ detail }) => globalThis.inbox.push(detail.code));
    await bus.queue("out", { maxLength: 1 }).send(0);
    await box.write([], (_, send) => (send("out", 1), send("out", 2)));
    await box.flush();
    const entries = await box.entries();
    const states = entries.map(({ state, code, queue }) => [state, code, queue]);
    await bus.queue("out").purge();
    await box.discard(entries[0].id);
    await box.retry(entries[1].id);
    await box.flush();
    return [states, globalThis.inbox, await bodies("out"), await box.entries()];
  });
  const refused = ["refused", "FULL", "out"];
  assert.deepEqual(found, [[refused, refused], ["FULL", "FULL"], [2], []]);
});

/**
 * In the page: the step of this number stands still for ever, before or after what it does. Steps
 * are writes in the database of the app and posts to the other tabs.
 */
function standStillAt(step) {
  globalThis.steps = 0;
  const hook = (prototype, name, concerns) => {
    const run = prototype[name];
    prototype[name] = function (...parameters) {
      const counts = globalThis.steps !== undefined && concerns(this);
      const reach = () => {
        if (counts && ++globalThis.steps === step) for (;;);
      };
      reach();
      const result = run.apply(this, parameters);
      reach();
      return result;
    };
  };
  const ofApp = (store) => store.transaction.db.name === "app";
  for (const name of ["add", "put", "delete"]) hook(IDBObjectStore.prototype, name, ofApp);
  hook(BroadcastChannel.prototype, "postMessage", () => true);
}

const STEPS = { folders, kills: true, deadline_ms: 400_000 };

test("a tab is killed at each step of it, and all happens once", STEPS, async (t) => {
  const host = await openBus(t, "host");
  await host.evaluate(openDatabase);
  await host.evaluate(async () => {
    for (const name of ["in", "out"]) await globalThis.bus.queue(name).ready();
  });
  let finished = false;
  let step = 1;
  const all = [];
  for (; !finished; step += 3) {
    const worker = await openBus(t, `worker ${step}`);
    await worker.evaluate(openDatabase);
    const owners = await t.browser.requireOwnProcesses();
    await host.evaluate((body) => globalThis.bus.queue("in").send(body).then(() => null), step);
    all.push(step);
    await worker.evaluate(standStillAt, step);
    await worker.evaluate(() => {
      const work = async () => {
        const [job] = await globalThis.bus.queue("in").receive();
        await globalThis.handle(job);
        await job.ack();
        await globalThis.box.flush();
        globalThis.finished = true;
      };
      setTimeout(() => void work());
    });
    const isFinished = () => [globalThis.finished === true];
    let stands = false;
    while (!finished && !stands) {
      // Whoever stands still says nothing.
      const said = await worker.evaluateWithin(1000, isFinished).catch(() => undefined);
      stands = said === undefined;
      finished = said?.[0] === true;
    }
    if (finished) await worker.close();
    else await worker.kill(owners);
    // The other tab does what is left, in the same way.
    await host.evaluate(async () => {
      for (;;) {
        const [job] = await globalThis.bus.queue("in").receive({ timeout: 0 });
        if (job) {
          await globalThis.handle(job);
          await job.ack();
        }
        const { ready, leased } = await globalThis.bus.queue("in").info();
        if (ready + leased === 0) break;
      }
    });
    const isOut = (count) => globalThis.bus.queue("out").info().then(({ ready }) => ready >= count);
    await host.waitFor(isOut, { args: [all.length], ...ALL });
    await host.evaluate(() => globalThis.box.flush());
    assert.deepEqual(await host.evaluate(() => globalThis.bodies("out")), all, `step ${step}`);
    assert.deepEqual(await host.evaluate(() => globalThis.read("handled")), all, `step ${step}`);
  }
  t.measure("steps", step);
  assert.ok(step > 8, `only ${step} steps were seen`);
});
