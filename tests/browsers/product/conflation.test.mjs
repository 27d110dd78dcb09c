// The newest of each key at the rate of the page.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

/** Subscribes to `price.*` and keeps what comes. */
const watch = (tab) =>
  tab.evaluate(async () => {
    const keep = ({ topic, body, conflated }) =>
      void globalThis.inbox.push([topic, body, conflated]);
    globalThis.prices = globalThis.bus.subscribe("price.*", { conflate: {} }, keep);
    await globalThis.prices.ready();
  });

/** Publishes so many prices of two topics, as fast as it goes. */
const publish = (tab, count) =>
  tab.evaluate(async (prices) => {
    for (let price = 1; price <= prices; price += 1) {
      await globalThis.bus.publish("price.eu", price);
      await globalThis.bus.publish("price.us", price);
    }
  }, count);

const lastOf = (topic, price) =>
  globalThis.inbox.some(([named, body]) => named === topic && body === price);

async function checkAll(tab, count) {
  for (const topic of ["price.eu", "price.us"])
    await tab.waitFor(lastOf, { args: [topic, count], what: `the last of ${topic}` });
  const [inbox, stats] = await tab.evaluate(() => [globalThis.inbox, globalThis.prices.stats]);
  const left = inbox.reduce((sum, [, , conflated]) => sum + conflated, 0);
  assert.equal(inbox.length + left, 2 * count, "each message came or is counted");
  assert.deepEqual(stats, { delivered: inbox.length, waiting: 0, conflated: left, dropped: 0 });
  for (const topic of ["price.eu", "price.us"]) {
    const bodies = inbox.filter(([named]) => named === topic).map(([, body]) => body);
    assert.deepEqual(bodies, bodies.toSorted((one, other) => one - other), "in order");
  }
}

const canHide = { folders, engines: ["chromium", "firefox"] };

test("the newest of each key comes with a frame, out of sight by a timer", canHide, async (t) => {
  const host = await openBus(t, "host");
  const hidden = await openBus(t, "hidden", {}, { hidden: true });
  await watch(host);
  await watch(hidden);
  assert.equal(await hidden.evaluate(() => document.visibilityState), "hidden");
  await publish(host, 100);
  await checkAll(host, 100);
  await checkAll(hidden, 100);
});

test("a tab gets the newest of each key of another tab", { folders }, async (t) => {
  const publisher = await openBus(t, "publisher");
  const viewer = await openBus(t, "viewer");
  await watch(viewer);
  await publish(publisher, 100);
  await checkAll(viewer, 100);
});
