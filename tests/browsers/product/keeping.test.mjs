// What a page knows of how safe its storage is: whether the browser has promised to keep it, and
// whose partition it is. What no engine tells is never guessed.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, hostOf, joinBus, openBus } from "./bus.mjs";

/** The page itself is to host: what is done to its storage must reach the node. */
const inPage = { folders, host: "tab" };

/** In the page: asks the browser to keep the storage, and what it says itself before and after. */
async function persist() {
  const ask = async () => (navigator.storage?.persisted ? navigator.storage.persisted() : null);
  const told = [];
  globalThis.bus.addEventListener("host", ({ detail }) => told.push(detail.persisted));
  const before = await ask();
  const outcome = await globalThis.outcome(globalThis.bus.persist({ timeout: "10s" }));
  const { stored } = await globalThis.bus.queue("jobs").send(1);
  return { before, outcome, after: await ask(), host: globalThis.bus.host.get(), stored, told };
}

function check({ before, outcome, after, host, stored, told }) {
  for (const kept of [host, stored]) {
    assert.equal(kept.persisted, after === true);
    assert.equal(kept.evictable, after !== true);
  }
  if (before === null) return assert.equal(outcome.code, "UNSUPPORTED");
  assert.equal(outcome.value, after);
  assert.deepEqual(told, before === after ? [] : [true], "a change is told");
}

for (const kept of [true, false]) {
  const options = { ...inPage, engines: ["chromium", "firefox"], browser: { storage_kept: kept } };
  test(`a browser that ${kept ? "keeps" : "does not keep"} is asked to`, options, async (t) => {
    if (kept && t.engine === "chromium") {
      const context = t.browser.session.defaultBrowserContext();
      await context.overridePermissions(t.server.origin, ["persistent-storage"]);
    }
    const found = await (await openBus(t, "asks")).evaluate(persist);
    check(found);
    assert.equal(found.outcome.value, kept);
  });
}

const there = { ...inPage, engines: ["webkit"] };

test("what persist says is what the browser says", there, async (t) => {
  check(await (await openBus(t, "asks")).evaluate(persist));
});

/** In the page: a frame with the bus; resolves with what it finds. */
function frameOf(address) {
  const told = new Promise((resolve) => {
    addEventListener("message", ({ data }) => resolve(data), { once: true });
  });
  const frame = document.createElement("iframe");
  frame.src = address;
  document.body.append(frame);
  return told;
}

test("a frame of this origin shares the bus of the page", inPage, async (t) => {
  const tab = await openBus(t, "page");
  await tab.evaluate(() => globalThis.bus.queue("jobs").send(1));
  const { host, ready } = await tab.evaluate(frameOf, "/bus/frame.html");
  assert.deepEqual([host.here, ready, host.partitioned], [false, 1, false]);
});

test("a frame of another site is a partition of its own", inPage, async (t) => {
  const { port } = t.server;
  const tab = await t.openTab(`http://localhost:${port}/bus/index.html`, { label: "first party" });
  await tab.waitFor(() => globalThis.tabmq !== undefined, { what: "the package has loaded" });
  assert.equal((await joinBus(tab)).partitioned, false);
  await tab.evaluate(() => globalThis.bus.queue("jobs").send(1));
  const other = await t.openTab("/blank.html", { label: "another site" });
  const address = `http://localhost:${port}/bus/frame.html`;
  const { host, ready } = await other.evaluate(frameOf, address);
  assert.deepEqual([host.here, ready], [true, 0], "the frame has a bus of its own");
  assert.equal(host.partitioned, undefined);
  assert.equal(host.private, undefined);
});

const windows = { ...inPage, engines: ["chromium"] };

test("a private window is a partition that ends with it", windows, async (t) => {
  const tab = await openBus(t, "ordinary");
  await tab.evaluate(() => globalThis.bus.queue("jobs").send(1));
  for (let round = 0; round < 2; round += 1) {
    const context = await t.browser.session.createBrowserContext();
    t.cleanup(() => context.close().catch(() => {}));
    const page = await context.newPage();
    await page.goto(t.server.url("/bus/index.html"), { waitUntil: "load" });
    await page.waitForFunction("globalThis.tabmq !== undefined");
    const found = await page.evaluate(`(async () => {
      const host = await connect("test", { host: "tab" });
      const { ready } = await bus.queue("jobs").ready();
      await bus.queue("jobs").send("private");
      return { ready, storage: host.storage, hidden: host.private, here: host.here };
    })()`);
    const { hidden, ...rest } = found;
    assert.deepEqual(rest, { ready: 0, storage: "indexeddb", here: true }, `window ${round}`);
    assert.equal(hidden, undefined);
    await context.close();
  }
  assert.equal((await hostOf(tab)).here, true);
  assert.equal((await tab.evaluate(() => globalThis.bus.queue("jobs").info())).ready, 1);
});
