// The harness itself: tabs, their processes, and what the platform does when one goes away.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";

const CHANNEL = "selftest";

/** In the page: keeps what arrives on the channel in `globalThis.heard`. */
function listen(channel) {
  globalThis.heard = [];
  globalThis.channel = new BroadcastChannel(channel);
  globalThis.channel.onmessage = ({ data }) => globalThis.heard.push(data);
}

/** In the page: takes the lock for good and notes when. */
function requestLock() {
  globalThis.granted_unix_ms = null;
  navigator.locks.request("selftest", () => {
    globalThis.granted_unix_ms = performance.timeOrigin + performance.now();
    return new Promise(() => {});
  });
}

const lockGranted = () => globalThis.granted_unix_ms;

/** In the page: true once another tab queues for the lock. */
async function lockIsContended() {
  const { pending } = await navigator.locks.query();
  return pending.some(({ name }) => name === "selftest");
}

/** Opens two tabs; the first holds the lock, the second waits for it. */
async function holderAndWaiter(t) {
  const holder = await t.openTab();
  const waiter = await t.openTab();
  await holder.evaluate(requestLock);
  await holder.waitFor(lockGranted);
  await waiter.evaluate(requestLock);
  await waiter.waitFor(lockIsContended);
  assert.equal(await waiter.evaluate(lockGranted), null);
  return { holder, waiter };
}

test("two tabs exchange a BroadcastChannel message", async (t) => {
  const a = await t.openTab();
  const b = await t.openTab();
  await a.evaluate(listen, CHANNEL);
  await b.evaluate(listen, CHANNEL);
  await a.evaluate(() => globalThis.channel.postMessage("from a"));
  await b.waitFor(() => globalThis.heard.includes("from a"));
  await b.evaluate(() => globalThis.channel.postMessage("from b"));
  await a.waitFor(() => globalThis.heard.includes("from b"));
});

test("five tabs are visible and each has a process of its own", { kills: true }, async (t) => {
  const tabs = [];
  for (let index = 0; index < 5; index += 1) tabs.push(await t.openTab());
  for (const tab of tabs) {
    assert.equal(await tab.evaluate(() => document.visibilityState), "visible");
  }
  const owners = await t.browser.requireOwnProcesses();
  assert.equal(new Set(owners.values()).size, 5);
});

test("a lock passes on when its holder is killed", { kills: true }, async (t) => {
  const { holder, waiter } = await holderAndWaiter(t);
  const killed_unix_ms = await holder.kill();
  const granted_unix_ms = await waiter.waitFor(lockGranted);
  t.measure("kill_to_lock_ms", granted_unix_ms - killed_unix_ms);
});

test("a lock passes on when its holder is closed", async (t) => {
  const { holder, waiter } = await holderAndWaiter(t);
  await holder.close();
  await waiter.waitFor(lockGranted);
});

test("a stopped tab keeps its lock and answers once it goes on", { kills: true }, async (t) => {
  const { holder, waiter } = await holderAndWaiter(t);
  await holder.evaluate(listen, CHANNEL);
  await waiter.evaluate(listen, CHANNEL);
  await holder.stop();
  await waiter.evaluate(() => globalThis.channel.postMessage("while stopped"));
  assert.equal(await holder.answers(700), false);
  assert.equal(await waiter.evaluate(lockGranted), null);
  await holder.resume();
  await holder.waitFor(() => globalThis.heard.includes("while stopped"));
  assert.equal(await waiter.evaluate(lockGranted), null);
});

test("a killed tab can be opened again", { kills: true }, async (t) => {
  const { holder, waiter } = await holderAndWaiter(t);
  await holder.kill();
  await waiter.waitFor(lockGranted);
  const again = await t.openTab();
  await again.evaluate(requestLock);
  await waiter.close();
  await again.waitFor(lockGranted);
});

test("a reload keeps sessionStorage and loses the page's memory", async (t) => {
  const tab = await t.openTab();
  await tab.evaluate(() => {
    sessionStorage.setItem("kept", "yes");
    globalThis.lost = true;
  });
  await tab.reload();
  const found = await tab.evaluate(() => [sessionStorage.getItem("kept"), "lost" in globalThis]);
  assert.deepEqual(found, ["yes", false]);
});

test("a cloned tab starts with a copy of sessionStorage", async (t) => {
  const original = await t.openTab();
  await original.evaluate(() => sessionStorage.setItem("identity", "first"));
  const clone = await original.clone();
  assert.equal(await clone.evaluate(() => sessionStorage.getItem("identity")), "first");
  await clone.evaluate(() => sessionStorage.setItem("identity", "second"));
  assert.equal(await original.evaluate(() => sessionStorage.getItem("identity")), "first");
});
