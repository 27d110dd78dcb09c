// Tabs of a device at a hub in another process: one socket for all of them, whoever holds it.
import assert from "node:assert/strict";
import { until } from "../lib/processes.mjs";
import { Proxy } from "../lib/proxy.mjs";
import { test } from "../lib/runner.mjs";
import { folders, openPage } from "./bus.mjs";
import { Server } from "./hub-server.mjs";

const HUB = { folders, hosts: true };
const KILLS = { ...HUB, kills: true };
const RESUMED = { deadline_ms: 30_000 };

async function openAtHub(t, label, server) {
  const tab = await openPage(t, label);
  await connectAtHub(tab, server);
  return tab;
}

const connectAtHub = (tab, { url }) =>
  tab.evaluate((options) => globalThis.connect("test", options), {
    host: tab.browser.host,
    hub: url,
  });

const hears = () => {
  globalThis.heard = [];
  return globalThis.bus.subscribe("news.#", ({ body }) => globalThis.heard.push(body)).ready();
};
const hasHeard = (count) => globalThis.heard.length >= count && globalThis.heard;
const process = () => {
  globalThis.processed = [];
  const consumer = globalThis.bus.queue("jobs").process(({ body }) => {
    globalThis.processed.push(body);
    return body * 2;
  });
  return consumer.ready();
};
/** One who takes over opens its socket before the hub has seen the end of the one before. */
const requireOneSocket = (server) =>
  until(() => server.sockets === 1, 30_000, "the device has one socket");
const isReady = () => globalThis.bus.status.get() === "ready";
const isEmpty = () => Object.values(globalThis.bus.outbox.get()).every((count) => count === 0);

test("at a hub tabs and a server share a bus over one socket", HUB, async (t) => {
  const server = await new Server(t).start();
  const own = await server.bus();
  const tabs = [];
  for (const label of ["first", "second", "third"]) tabs.push(await openAtHub(t, label, server));
  const [first, second, third] = tabs;
  await requireOneSocket(server);
  const host = await first.evaluate(() => globalThis.bus.host.get());
  assert.deepEqual([host.kind, host.storage, host.here], ["hub", "files", false]);
  for (const tab of tabs) await tab.evaluate(hears);
  const heard = [];
  const listening = own.subscribe("news.#", ({ body }) => heard.push(body));
  await listening.ready();
  await second.evaluate(() => globalThis.bus.publish("news.one", 1).then(() => null));
  await own.publish("news.two", 2);
  for (const tab of tabs) assert.deepEqual(await tab.waitFor(hasHeard, { args: [2] }), [1, 2]);
  assert.deepEqual(heard, [1, 2]);

  await first.evaluate(process);
  const receipt = await own.queue("jobs").send(21, { track: true });
  assert.equal(await receipt.processed(), 42);
  const sum = await third.evaluate(async () => {
    const sent = await globalThis.bus.queue("jobs").send(4, { confirm: "processed" });
    return sent.processed();
  });
  assert.equal(sum, 8);

  await second.evaluate(() => globalThis.bus.serve("calc", { add: (a, b) => a + b }).ready());
  assert.equal(await own.client("calc").add(2, 3), 5);
  const twice = () => globalThis.bus.client("calc").add(4, 4);
  assert.equal(await third.evaluate(twice), 8);
});

test("what is sent while the hub is away is there when it is back", HUB, async (t) => {
  const server = await new Server(t).start();
  const tab = await openAtHub(t, "producer", server);
  await tab.evaluate(() => globalThis.bus.queue("jobs").send(0).then(() => null));
  await server.stop();
  const stored = await tab.evaluate(async () => {
    const receipts = [];
    for (let number = 1; number <= 5; number += 1)
      receipts.push(await globalThis.bus.queue("jobs").send(number));
    return receipts.map((receipt) => receipt.stored.at);
  });
  assert.deepEqual(stored, Array(5).fill("device"));
  await server.start();
  await tab.waitFor(isEmpty, { ...RESUMED, what: "the outbox is empty" });
  const found = [];
  for await (const { body } of (await server.bus()).queue("jobs").browse()) found.push(body);
  assert.deepEqual(found, [0, 1, 2, 3, 4, 5]);
});

/** The socket of a worker is not seen. */
const SEEN = { folders, host: "tab" };

test("a tab whose hub reads nothing hands its socket no more than that takes", SEEN, async (t) => {
  const server = await new Server(t).start();
  const proxy = await Proxy.start(server.port);
  t.cleanup(() => proxy.close());
  const tab = await openPage(t, "producer");
  await tab.evaluate(() => {
    globalThis.sockets = [];
    globalThis.WebSocket = class extends WebSocket {
      constructor(...parameters) {
        super(...parameters);
        globalThis.sockets.push(this);
      }
    };
  });
  await connectAtHub(tab, { url: `ws://127.0.0.1:${proxy.port}` });
  await tab.evaluate(() => globalThis.bus.queue("jobs").send(-1).then(() => null));
  proxy.stall();
  const [count, patience_ms] = [160, 120_000];
  await tab.evaluate((sends, timeout) => {
    const body = "x".repeat(64_000);
    globalThis.sends = Promise.all(
      Array.from({ length: sends }, (_, number) =>
        globalThis.bus.queue("jobs").send({ number, body }, { confirm: "hub", timeout }),
      ),
    );
    return null;
  }, count, patience_ms);
  // What was not handed on waits in the outbox.
  await tab.waitFor(() => globalThis.bus.outbox.get().accepted > 0);
  const buffered = await tab.evaluate(() =>
    Math.max(0, ...globalThis.sockets.map(({ bufferedAmount }) => bufferedAmount)),
  );
  assert.ok(buffered < 3 << 20, `${buffered} bytes are in the socket`);
  proxy.flow();
  await tab.evaluateWithin(patience_ms, () => globalThis.sends.then(() => null));
  const found = [];
  for await (const { body } of (await server.bus()).queue("jobs").browse())
    found.push(body.number ?? body);
  assert.deepEqual(found, Array.from({ length: count + 1 }, (_, number) => number - 1));
});

test("the tab that holds the socket to a hub is killed", KILLS, async (t) => {
  const server = await new Server(t).start();
  const own = await server.bus();
  const first = await openAtHub(t, "first", server);
  const second = await openAtHub(t, "second", server);
  await own.admin.declare("jobs", { lease: "10m" });
  await first.evaluate(process);
  await second.evaluate(process);
  const owners = await t.browser.requireOwnProcesses();
  await own.queue("jobs").sendBatch(Array.from({ length: 20 }, (_, body) => ({ body })));
  await first.kill(owners);
  await second.waitFor(isReady, RESUMED);
  await own.queue("jobs").send(100);
  const done = async () => {
    const { ready, leased } = await own.queue("jobs").info();
    return ready + leased === 0;
  };
  // Long before the leases of the dead one end.
  await until(done, 60_000, "all is processed");
  const hundred = () => globalThis.processed.includes(100);
  await second.waitFor(hundred, RESUMED);
  await requireOneSocket(server);
});

test("sends of a killed tab reach the hub once it is back", KILLS, async (t) => {
  const server = await new Server(t).start();
  const other = await openAtHub(t, "other", server);
  const producer = await openAtHub(t, "producer", server);
  await producer.evaluate(() => globalThis.bus.queue("jobs").send(0).then(() => null));
  const owners = await t.browser.requireOwnProcesses();
  await server.stop();
  // Engines keep long values apart, and read them later.
  const bodies = [1, 2, "x".repeat(200_000)];
  await producer.evaluate(async (all) => {
    for (const body of all) await globalThis.bus.queue("jobs").send(body);
  }, bodies);
  await producer.kill(owners);
  await server.start();
  const started_ms = performance.now();
  const own = await server.bus();
  const all = async () => (await own.queue("jobs").info()).ready === 4;
  await until(all, 90_000, "another tab sends what the dead one left");
  t.measure("back_to_sent_ms", performance.now() - started_ms);
  await other.waitFor(isEmpty, RESUMED);
  const found = [];
  for await (const { body } of own.queue("jobs").browse()) found.push(body);
  assert.deepEqual(found, [0, ...bodies]);
});

test("ten tabs make one socket to a hub", { folders }, async (t) => {
  const server = await new Server(t).start();
  const tabs = [];
  for (let count = 0; count < 10; count += 1)
    tabs.push(await openAtHub(t, `tab ${count}`, server));
  // The process of the hub is one as well.
  const all = () => globalThis.bus.peers.get().length === 11;
  for (const tab of tabs) await tab.waitFor(all, { what: "everybody is known" });
  await requireOneSocket(server);
  for (const tab of tabs.splice(0, 9)) await tab.close();
  const alone = () => globalThis.bus.peers.get().length === 2;
  await tabs[0].waitFor(alone, { ...RESUMED, what: "the others are gone" });
  await requireOneSocket(server);
});

test("a page that is made anew is the same client at its hub", HUB, async (t) => {
  const server = await new Server(t).start();
  const own = await server.bus();
  const tab = await openAtHub(t, "tab", server);
  const id = await tab.evaluate(() => globalThis.bus.peer.id);
  await tab.evaluate(async () => {
    globalThis.held = await globalThis.bus.queue("jobs").consume({ prefetch: 1 }).ready();
  });
  await own.queue("jobs").send(1);
  await until(async () => (await own.queue("jobs").info()).leased === 1, 10_000, "it is taken");
  await tab.reload();
  await tab.waitFor(() => globalThis.tabmq !== undefined, { what: "the package has loaded" });
  await tab.evaluate((options) => globalThis.connect("test", options), {
    host: tab.browser.host,
    hub: server.url,
  });
  assert.equal(await tab.evaluate(() => globalThis.bus.peer.id), id);
  // A page that is made anew holds nothing: what the one before held goes on at once.
  await until(async () => (await own.queue("jobs").info()).ready === 1, 10_000, "it is back");
  await tab.evaluate(process);
  await tab.waitFor(() => globalThis.processed.length === 1, RESUMED);
});
