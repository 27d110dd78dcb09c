// One tab runs the queues of others.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

test("one tab lists, watches and tidies the queues of another", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const other = await openBus(t, "other");
  await other.evaluate(() => {
    globalThis.stats = globalThis.bus.queue("jobs").stats;
    globalThis.stats.subscribe((now) => globalThis.inbox.push(now.ready));
  });
  await host.evaluate(async () => {
    const items = ["a", "b", "c", "d"].map((body) => ({ body, track: true }));
    globalThis.receipts = await globalThis.bus.queue("jobs").sendBatch(items);
    await globalThis.bus.admin.declare("aside");
  });
  await other.waitFor(() => globalThis.stats.get().ready === 4, { what: "it sees four" });
  const names = await other.evaluate(async () => {
    const found = [];
    for await (const { name, ready } of globalThis.bus.admin.list()) found.push([name, ready]);
    return found;
  });
  assert.deepEqual(names, [["aside", 0], ["jobs", 4]]);
  const done = await other.evaluate(async () => {
    const { admin } = globalThis.bus;
    const peeked = [];
    for await (const message of admin.peek("jobs")) peeked.push(message);
    const moved = await admin.move("jobs", "aside", { where: { ids: [peeked[1].id] } });
    const deleted = await admin.deleteMessage("jobs", peeked[0].id);
    return [moved, deleted];
  });
  assert.deepEqual(done, [1, true]);
  const { code } = await host.evaluate(() => {
    return globalThis.outcome(globalThis.receipts[0].processed());
  });
  assert.equal(code, "DISCARDED");
  await other.waitFor(() => globalThis.stats.get().ready === 2, { what: "it sees the rest" });
});

test("a watch and a move go on when the tab that hosts is gone", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const other = await openBus(t, "other");
  await other.evaluate(async () => {
    const { bus } = globalThis;
    await bus.admin.declare("into");
    globalThis.stats = bus.queue("into").stats;
    globalThis.stats.subscribe(() => {});
    await bus.queue("from").sendBatch(Array.from({ length: 20 }, (_, body) => ({ body })));
    globalThis.moved = bus.admin.move("from", "into", { rate: 10 });
  });
  await other.waitFor(() => globalThis.stats.get().ready >= 5, { what: "some are moved" });
  await host.close();
  assert.equal(await other.evaluate(() => globalThis.moved), 20);
  await other.waitFor(() => globalThis.stats.get().ready === 20, { what: "the watch goes on" });
  const left = await other.evaluate(() => globalThis.bus.queue("from").info());
  assert.deepEqual([left.ready, left.leased], [0, 0]);
});

test("a queue travels from one user to another as a file", { folders }, async (t) => {
  const one = await openBus(t, "one", { user: "one" });
  const two = await openBus(t, "two", { user: "two" });
  const file = await one.evaluate(async () => {
    const jobs = globalThis.bus.queue("jobs");
    await jobs.sendBatch(Array.from({ length: 150 }, (_, n) => ({ body: new Map([["n", n]]) })));
    const bytes = await (await globalThis.bus.admin.export("jobs")).arrayBuffer();
    return Array.from(new Uint8Array(bytes));
  });
  const bodies = await two.evaluate(async (bytes) => {
    const count = await globalThis.bus.admin.import(new Blob([new Uint8Array(bytes)]));
    const found = [];
    for await (const { body } of globalThis.bus.queue("jobs").browse()) found.push(body.get("n"));
    return [count, found.length, found[149]];
  }, file);
  assert.deepEqual(bodies, [150, 150, 149]);
});
