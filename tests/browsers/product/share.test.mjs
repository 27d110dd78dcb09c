// Tabs of a device whose bus has two homes: the device's names go on while the hub is away.
import assert from "node:assert/strict";
import { until } from "../lib/processes.mjs";
import { test } from "../lib/runner.mjs";
import { folders, joinBus, openPage } from "./bus.mjs";
import { Server } from "./hub-server.mjs";

const HUB = { folders, hosts: true };
const RESUMED = { deadline_ms: 30_000 };

/** In the page: a bus of which the names below `orders` live at the hub. */
const connect = async (options) => {
  globalThis.bus = await globalThis.tabmq.connect("test", options);
  globalThis.contracts = [];
  globalThis.bus.addEventListener("contract", ({ detail }) => {
    globalThis.contracts.push(detail.name);
  });
  return globalThis.bus.status.get();
};

async function openShared(t, label, server) {
  const tab = await openPage(t, label);
  await joinShared(tab, server);
  return tab;
}

function joinShared(tab, server) {
  const hub = { url: server.url, share: ["orders.#"] };
  return tab.evaluate(connect, { host: tab.browser.host, hub });
}

const hears = () => {
  globalThis.heard = [];
  return globalThis.bus.subscribe("#", ({ body }) => globalThis.heard.push(body)).ready();
};
const hasHeard = (count) => globalThis.heard.length >= count && globalThis.heard;
const isReady = () => globalThis.bus.status.get() === "ready";
const isOffline = () => globalThis.bus.status.get() === "offline";
const isEmpty = () => Object.values(globalThis.bus.outbox.get()).every((count) => count === 0);
const browsed = async (name) => {
  const bodies = [];
  for await (const { body } of globalThis.bus.queue(name).browse()) bodies.push(body);
  return bodies;
};

test("two tabs work on the device while their hub is away", HUB, async (t) => {
  const server = await new Server(t).start();
  const first = await openShared(t, "first", server);
  const second = await openShared(t, "second", server);
  await until(() => server.sockets === 1, 30_000, "the device has one socket");
  for (const tab of [first, second]) await tab.evaluate(hears);
  await first.evaluate(() => globalThis.bus.publish("orders.news", "shared").then(() => null));
  await (await server.bus()).publish("local.news", "another device's");
  await server.stop();
  await first.waitFor(isOffline, RESUMED);
  await first.evaluate(() => globalThis.bus.publish("local.news", "local").then(() => null));
  for (const tab of [first, second])
    assert.deepEqual(await tab.waitFor(hasHeard, { args: [2] }), ["shared", "local"]);

  await second.evaluate(() => {
    globalThis.bus.queue("jobs").process(({ body }) => body * 2);
    globalThis.bus.serve("calc", { add: (a, b) => a + b });
  });
  const [doubled, sum, stored] = await first.evaluate(async () => {
    const { bus } = globalThis;
    const receipt = await bus.queue("jobs").send(21, { confirm: "processed" });
    const orders = [];
    for (const number of [1, 2, 3]) orders.push(await bus.queue("orders.new").send(number));
    const places = [receipt, ...orders].map((one) => one.stored.at);
    return [await receipt.processed(), await bus.client("calc").add(2, 3), places];
  });
  assert.deepEqual([doubled, sum, stored], [42, 5, ["device", "device", "device", "device"]]);

  await server.start();
  await second.waitFor(isReady, RESUMED);
  await first.waitFor(isEmpty, { ...RESUMED, what: "the outbox is empty" });
  assert.deepEqual(await second.evaluate(browsed, "orders.new"), [1, 2, 3]);
  const homes = await second.evaluate(async () => {
    const { bus } = globalThis;
    return Promise.all(["jobs", "orders.new"].map(async (name) => {
      return (await bus.queue(name).info()).home;
    }));
  });
  assert.deepEqual(homes, ["device", "hub"]);
});

test("a queue that a tab had on the device stays there until it is deleted", HUB, async (t) => {
  const server = await new Server(t).start();
  const old = await openPage(t, "old");
  await joinBus(old);
  await old.evaluate(() => globalThis.bus.queue("orders.new").send("kept").then(() => null));
  const first = await openShared(t, "first", server);
  const second = await openShared(t, "second", server);
  const told = () => globalThis.contracts.length > 0 && globalThis.contracts;
  for (const tab of [first, second]) {
    const names = await tab.waitFor(told, { what: "the kept queue is told" });
    assert.deepEqual(names, ["orders.new"]);
  }
  await second.reload();
  await second.waitFor(() => globalThis.tabmq !== undefined, { what: "it has loaded again" });
  await joinShared(second, server);
  assert.deepEqual(await second.evaluate(browsed, "orders.new"), ["kept"]);
  await first.evaluate(() => globalThis.bus.queue("orders.new").delete());
  const isGone = async () => {
    const { bus, outcome } = globalThis;
    return (await outcome(bus.queue("orders.new").info())).code === "NOT_FOUND";
  };
  await second.waitFor(isGone, RESUMED);
  for (const tab of [first, second]) {
    const home = await tab.evaluate(async () => {
      const receipt = await globalThis.bus.queue("orders.new").send("anew", { confirm: "hub" });
      return receipt.stored.at;
    });
    assert.equal(home, "hub");
  }
  assert.equal((await (await server.bus()).queue("orders.new").info()).ready, 2);
});
