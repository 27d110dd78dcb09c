// What waits on a device for one log, at the door of another.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createHub, serveHub } from "tabmq/node";

import { temporaryFolder } from "./files.mjs";
import { until } from "./helpers.mjs";
import { connectHub, freePort } from "./hub.mjs";

/** A hub in memory or over a folder, which may be closed before the test is over. */
async function serve(t, options, port = 0) {
  const hub = createHub(options);
  const served = await serveHub({ hub, port });
  t.after(() => served.close());
  return { hub, url: served.url, close: () => served.close() };
}

async function bodiesOf(queue) {
  const bodies = [];
  try {
    for await (const { body } of queue.browse()) bodies.push(body);
  } catch (error) {
    // Nobody has sent anything there.
    if (error.code !== "NOT_FOUND") throw error;
  }
  return bodies;
}

/** Nothing waits any more, nor is it on its way. */
const isEmpty = (bus) => Object.values(bus.outbox.get()).every((count) => count === 0);

const stored = async (hub) => bodiesOf((await hub.bus("shop")).queue("q"));

/** A hub over a folder, and a bus of it whose hub is gone by now, with what waits for it. */
async function leftBehind(t, doors, waiting) {
  const storage = temporaryFolder(t);
  const port = await freePort();
  const open = () => serve(t, { storage }, port);
  const first = await open();
  const bus = await connectHub(t, { url: doors(first.url) }, "shop");
  t.mock.method(console, "error", () => {});
  const told = [];
  bus.addEventListener("error", ({ detail }) => told.push(detail));
  await bus.queue("q").send("stored", { confirm: "hub" });
  await first.close();
  await until(() => bus.status.get() !== "ready");
  const sends = Array.from({ length: waiting }, (_, index) => bus.queue("q").send(index));
  await Promise.all(sends);
  return { bus, told, port, open };
}

test("foreign log: what waits stays, both logs are told, and the right one gets it", async (t) => {
  const { bus, told, port, open } = await leftBehind(t, (url) => url, 3);
  const other = await serve(t, { storage: temporaryFolder(t) }, port);
  await until(() => told.length > 0);
  const [{ code, data }] = told;
  assert.deepEqual([code, data.reason], ["CONTRACT_MISMATCH", "log"]);
  assert.match(data.log, /^[0-9a-f]{32}$/);
  assert.match(data.found, /^[0-9a-f]{32}$/);
  assert.notEqual(data.log, data.found);
  assert.equal(bus.status.get(), "offline");
  await until(() => bus.outbox.get().accepted === 3);
  assert.deepEqual(await stored(other.hub), []);
  assert.equal(told.length, 1);
  await other.close();
  await open();
  await until(() => bus.status.get() === "ready" && isEmpty(bus));
  assert.deepEqual(await bodiesOf(bus.queue("q")), ["stored", 0, 1, 2]);
});

test("foreign log: the next door is tried", async (t) => {
  const other = await serve(t, { storage: temporaryFolder(t) });
  const { bus, told, open } = await leftBehind(t, (url) => [url, other.url], 2);
  await until(() => told.length > 0);
  await open();
  await until(() => bus.status.get() === "ready");
  await until(() => isEmpty(bus));
  assert.deepEqual(await bodiesOf(bus.queue("q")), ["stored", 0, 1]);
  assert.deepEqual(await stored(other.hub), []);
});

test("foreign log: a device on which nothing waits goes along", async (t) => {
  const { bus, told, port } = await leftBehind(t, (url) => url, 0);
  await serve(t, { storage: temporaryFolder(t) }, port);
  await until(() => bus.status.get() === "ready");
  await bus.queue("q").send("new", { confirm: "hub" });
  assert.deepEqual(told, []);
});

test("foreign log: its user sends what waits there on purpose", async (t) => {
  const { bus, told, port } = await leftBehind(t, (url) => url, 3);
  await assert.rejects(bus.outbox.redirect(), { code: "NOT_FOUND" });
  const other = await serve(t, { storage: temporaryFolder(t) }, port);
  await until(() => told.length > 0);
  assert.equal(await bus.outbox.redirect(), 3);
  await until(() => bus.status.get() === "ready" && isEmpty(bus));
  assert.deepEqual(await stored(other.hub), [0, 1, 2]);
});

test("foreign log: a hub in memory is not the one of a folder, nor remembered", async (t) => {
  const { bus, told, port } = await leftBehind(t, (url) => url, 1);
  const memory = await serve(t, {}, port);
  await until(() => told.length > 0);
  const [entry] = await bus.outbox.entries();
  await bus.outbox.discard(entry.id);
  await until(() => bus.status.get() === "ready");
  await memory.close();
  await until(() => bus.status.get() !== "ready");
  await bus.queue("q").send("meanwhile");
  const anew = await serve(t, {}, port);
  await until(() => bus.status.get() === "ready" && isEmpty(bus));
  assert.deepEqual(await stored(anew.hub), ["meanwhile"]);
});
