// Pages of two builds are open together, each with a worker of its own address: the one everybody
// has, and one to come that speaks the next version of the protocol as well, or no other.
import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../lib/run.mjs";
import { test } from "../lib/runner.mjs";
import {
  folders as served,
  hostOf,
  joinBus,
  kindOf,
  openBus,
  PATIENT,
  requireHost,
} from "./bus.mjs";

const built = (feature) => [`/${feature}/`, join(ROOT, "target", feature, "dist")];
const later = ["next-version", "next-version-only"];
const folders = { ...served, ...Object.fromEntries(later.map(built)) };
const everywhere = { folders, hosts: true };

const RECOVERY_MS = 30_000;

/** A page of that later build, which has opened nothing. */
async function openLater(t, label, build) {
  const tab = await t.openTab(`/bus/${build}.html`, { label });
  await tab.waitFor(() => globalThis.tabmq !== undefined, { what: "the package has loaded" });
  return tab;
}

/** Each of two tabs sends, tells and asks; the other one processes, hears and answers. */
async function requireExchange(...tabs) {
  for (const [giver, taker] of [tabs, tabs.toReversed()]) {
    await taker.evaluate(async () => {
      const { bus } = globalThis;
      globalThis.got = [];
      const take = (kind) => ({ body }) => void globalThis.got.push([kind, body]);
      const parts = [
        bus.subscribe("words", take("heard")),
        bus.queue("work").process(take("done")),
        bus.serve("adder@1", { add: (a, b) => a + b }),
      ];
      globalThis.parts = parts;
      for (const part of parts) await part.ready();
    });
    const sum = await giver.evaluate(async () => {
      await globalThis.bus.queue("work").send("job");
      await globalThis.bus.publish("words", "word");
      return globalThis.bus.client("adder@1").add(2, 3);
    });
    assert.equal(sum, 5);
    await taker.waitFor(() => globalThis.got.length >= 2, { what: `${taker.label} got both` });
    const got = await taker.evaluate(async () => {
      for (const part of globalThis.parts) await part.stop();
      return globalThis.got.sort();
    });
    assert.deepEqual(got, [["done", "job"], ["heard", "word"]]);
  }
}

const keep = (tab, bodies) =>
  tab.evaluate(async (list) => {
    for (const body of list) await globalThis.bus.queue("kept").send(body);
  }, bodies);

async function requireKept(tab, bodies) {
  const kept = await tab.evaluate(async () => {
    const found = [];
    for await (const { body } of globalThis.bus.queue("kept").browse()) found.push(body);
    return found;
  });
  assert.deepEqual(kept, bodies);
}

/** Another node runs, where this case wants it. */
async function waitForHost(t, tab, above) {
  const runs = (kind, epoch) => {
    const host = globalThis.bus.host.get();
    return host.kind === kind && host.epoch > epoch;
  };
  const args = [kindOf(t), above];
  await tab.waitFor(runs, { args, deadline_ms: RECOVERY_MS, what: `${tab.label} has a new host` });
}

/** In the page: one of all workers and pages has the lock of the node, and others wait for it. */
async function isOneLine() {
  const { held, pending } = await navigator.locks.query();
  const count = (locks) => locks.filter(({ name }) => name === "tabmq:test:node").length;
  return count(held) === 1 && count(pending) > 0;
}

test("old and new pages that share a version work together", everywhere, async (t) => {
  const old = await openBus(t, "old", PATIENT);
  const { epoch } = await requireHost(old);
  const later_tab = await openLater(t, "new", "next-version");
  await joinBus(later_tab, PATIENT);
  const seen = await hostOf(later_tab);
  assert.deepEqual([seen.epoch, seen.here], [epoch, false], "the old build hosts for both");
  await requireExchange(old, later_tab);
  await keep(old, ["old"]);
  await keep(later_tab, ["new"]);
  await old.close();
  await waitForHost(t, later_tab, epoch);
  await requireKept(later_tab, ["old", "new"]);
  const again = await openBus(t, "old again");
  await requireExchange(later_tab, again);
  await requireKept(again, ["old", "new"]);
  // A worker is there when it has loaded, which is after its page.
  await again.waitFor(isOneLine, { what: "all stand in one line" });
});

/** In the page: how the bus and a send end. */
async function endOf() {
  const { bus } = globalThis;
  const sent = await globalThis.outcome(bus.queue("kept").send("lost"));
  return { send: sent.code, status: bus.status.get() };
}

/** The page can't talk to the host: its bus ends with a code, and so does what it was asked. */
async function requireRefused(tab) {
  const options = { host: tab.browser.host };
  const { code } = await tab.evaluate((given) => {
    return globalThis.outcome(globalThis.connect("test", given));
  }, options);
  assert.equal(code, "UPGRADE_REQUIRED");
  assert.deepEqual(await tab.evaluate(endOf), { send: "UPGRADE_REQUIRED", status: "closed" });
  const errors = tab.console.filter(({ level }) => level === "error");
  assert.deepEqual(errors, []);
}

test("a new page that shares no version is told, and hosts next", everywhere, async (t) => {
  const old = await openBus(t, "old", PATIENT);
  const { epoch } = await requireHost(old);
  await keep(old, [1, 2]);
  const later_tab = await openLater(t, "new", "next-version-only");
  await requireRefused(later_tab);
  await keep(old, [3]);
  assert.equal((await hostOf(old)).epoch, epoch, "the old host went on");
  await old.close();
  await joinBus(later_tab);
  await waitForHost(t, later_tab, epoch);
  await requireKept(later_tab, [1, 2, 3]);
});

test("an old page that shares no version is told", everywhere, async (t) => {
  const later_tab = await openLater(t, "new", "next-version-only");
  await joinBus(later_tab, PATIENT);
  const { epoch } = await requireHost(later_tab);
  await keep(later_tab, [1]);
  const old = await t.openTab("/bus/index.html", { label: "old" });
  await old.waitFor(() => globalThis.tabmq !== undefined, { what: "the package has loaded" });
  await requireRefused(old);
  await keep(later_tab, [2]);
  await requireKept(later_tab, [1, 2]);
  assert.equal((await hostOf(later_tab)).epoch, epoch, "the new host went on");
});
