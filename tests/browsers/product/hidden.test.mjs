// A page that has been hidden for long gets one timer a minute, as far as timers set the next one.
// It consumes, keeps what it works on, and notices that the host died, all the same.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, hostOf, openBus } from "./bus.mjs";

const GAP_MS_MIN = 50_000;
const HIDDEN_MS = 200_000;
const LEASE = "20s";

/** In the page: measures how far its timers are apart, and works. */
async function startWork(lease) {
  globalThis.gaps_ms = [];
  const wait = (from) =>
    setTimeout(() => {
      globalThis.gaps_ms.push(performance.now() - from);
      wait(performance.now());
    }, 100);
  wait(performance.now());
  globalThis.done = [];
  globalThis.held = [];
  const take = ({ body, attempt }) => {
    if (body !== "long") return void globalThis.done.push([body, attempt]);
    return new Promise((resolve) => {
      globalThis.held.push(attempt);
      globalThis.finish = resolve;
    });
  };
  await globalThis.bus.queue("jobs", { lease }).process({ concurrency: 4 }, take).ready();
}

const hidden = {
  folders,
  kills: true,
  engines: ["chromium"],
  browser: { throttling: "intensive" },
  deadline_ms: HIDDEN_MS,
};

test("a hidden tab with one timer a minute does its work", hidden, async (t) => {
  const visible = await openBus(t, "visible", { host: "tab" });
  const tab = await openBus(t, "hidden", { host: "tab" });
  const owners = await t.browser.requireOwnProcesses();
  await tab.evaluate(startWork, LEASE);
  await tab.hide();
  await visible.evaluate((lease) => {
    globalThis.jobs = globalThis.bus.queue("jobs", { lease });
    return globalThis.jobs.send("long").then(() => null);
  }, LEASE);
  await tab.waitFor(() => globalThis.held.length === 1, { what: "the long job has begun" });
  await tab.waitFor((least) => globalThis.gaps_ms.some((gap) => gap > least), {
    args: [GAP_MS_MIN],
    deadline_ms: HIDDEN_MS,
    what: "a gap between timers of a minute",
  });
  t.measure("gap_ms", Math.max(...(await tab.evaluate(() => globalThis.gaps_ms))));
  const started_ms = performance.now();
  await visible.evaluate(() => globalThis.jobs.send("short").then(() => null));
  await tab.waitFor(() => globalThis.done.length === 1, { what: "the short job is done" });
  t.measure("sent_to_done_ms", performance.now() - started_ms);
  assert.deepEqual(await tab.evaluate(() => globalThis.held), [1], "it kept its lease");
  await tab.evaluate(() => globalThis.finish());
  const { epoch } = await hostOf(tab);
  const killed_ms = performance.now();
  await visible.kill(owners);
  const hosts = (before) => globalThis.bus.host.get().epoch > before;
  await tab.waitFor(hosts, { args: [epoch], what: "it hosts itself" });
  t.measure("kill_to_host_ms", performance.now() - killed_ms);
  const settled = async () => (await globalThis.bus.queue("jobs").info()).ackedTotal === 2;
  await tab.waitFor(settled, { what: "both are acknowledged" });
});
