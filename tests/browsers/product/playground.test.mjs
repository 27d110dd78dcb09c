// The playground as its visitors meet it: the built page over the built package.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createHub, serveHub } from "../../../pkg/dist/hub.js";
import { until } from "../lib/processes.mjs";
import { ROOT } from "../lib/run.mjs";
import { test } from "../lib/runner.mjs";

const SITE = { "/": join(ROOT, "www/dist") };
const ADDRESS = "/index.html?debug&host=tab";
const JOBS = 300;
/** What the button "Send 300 jobs" leads to may take longer on a busy machine. */
const WORK_MS = 60_000;

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const SIZES = [{ width: 1280, height: 800 }, { width: 390, height: 844 }];

/** In the page: true once it is connected and sees that many tabs, one of them as the host. */
function isComplete(count) {
  const cards = [...document.querySelectorAll("[data-peer][data-here=true]")];
  const hosts = cards.filter((card) => card.dataset.hosts === "true");
  const ready = document.querySelector("#status").dataset.status === "ready";
  return ready && cards.length === count && hosts.length === 1;
}

/** In the page: fills in fields of a form, as a person would. */
function fillIn(form, fields) {
  for (const [name, value] of Object.entries(fields)) {
    const field = document.querySelector(`#${form}`).elements.namedItem(name);
    if (typeof value === "boolean") field.checked = value;
    else field.value = value;
    const target = field instanceof RadioNodeList ? document.querySelector(`#${form}`) : field;
    target.dispatchEvent(new Event("input", { bubbles: true }));
    target.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

const press = (selector) => document.querySelector(selector).click();
const countIs = (id, text) => document.querySelector(`#count-${id}`).textContent === text;
const logged = (text) => document.querySelector("#log").textContent.includes(text);
const epochOf = () => Number(/epoch (\d+)/.exec(document.querySelector("#hosting").textContent)[1]);
const isHost = () => document.querySelector("[data-me=true]").dataset.hosts === "true";

/** In the page: true once the inspector lists that queue, which is selected then. */
function selectQueue(queue) {
  const row = document.querySelector(`[data-queue="${queue}"] button`);
  row?.click();
  return row !== null;
}
const hubState = (text) => document.querySelector("#hub-state").textContent.includes(text);
const peeked = (count) => document.querySelectorAll("#peeked > li").length === count;

async function openTabs(t, count, options) {
  const tabs = [];
  for (let index = 0; index < count; index += 1) tabs.push(await t.openTab(ADDRESS, options));
  for (const tab of tabs) {
    await tab.waitFor(isComplete, { args: [count], what: `${count} tabs and their host are here` });
  }
  return tabs;
}

/** Nothing was written as an error, and nothing was asked of another machine. */
async function assertClean(tab) {
  assert.deepEqual(tab.console.filter(({ level }) => level === "error" || level === "warn"), []);
  const foreign = await tab.evaluate(() => {
    const asked = performance.getEntriesByType("resource").map(({ name }) => name);
    return asked.filter((name) => !name.startsWith(location.origin) && !name.startsWith("data:"));
  });
  assert.deepEqual(foreign, []);
}

test("playground: tabs join a hub and leave it", { folders: SITE }, async (t) => {
  const hub = createHub();
  const served = await serveHub({ hub });
  t.cleanup(() => served.close());
  const tab = await t.openTab(ADDRESS);
  await tab.waitFor(isComplete, { args: [1], what: "the tab hosts" });
  await tab.evaluate(fillIn, "hub-form", { hub: served.url });
  await tab.evaluate(press, "#hub-form button");
  const hosted = (text) => document.querySelector("#hosting")?.textContent.includes(text);
  await tab.waitFor(hosted, { args: ["A hub runs the broker"], what: "the tab is at the hub" });
  await tab.evaluate(fillIn, "process", { concurrency: "8", work: "20" });
  const own = await hub.bus("playground");
  await tab.evaluate(press, "#send-many");
  const count = () => document.querySelector("#count-done").textContent === "300";
  await tab.waitFor(count, { deadline_ms: WORK_MS, what: "all jobs are done" });
  assert.equal((await own.queue("jobs").info()).ready, 0);
  await assertClean(tab);
  await tab.evaluate(fillIn, "hub-form", { share: "jobs" });
  await tab.evaluate(press, "#hub-form button");
  await tab.waitFor(hubState, { args: ["But jobs was here before"], what: "the device keeps it" });
  await assertClean(tab);
  await tab.evaluate(fillIn, "hub-form", { hub: "", share: "" });
  await tab.evaluate(press, "#hub-form button");
  await tab.waitFor(() => !location.search.includes("hub"), { what: "it is another page" });
  await tab.waitFor(isComplete, { args: [1], what: "the tab hosts again" });
});

test("playground: a tab shares some names with a hub", { folders: SITE }, async (t) => {
  const hub = createHub();
  const served = await serveHub({ hub });
  t.cleanup(() => served.close());
  const query = new URLSearchParams({ hub: served.url, share: "jobs", host: "tab" });
  const tab = await t.openTab(`/index.html?debug&${query}`);
  await tab.waitFor(hubState, { args: ["has what jobs covers"], what: "the jobs are shared" });
  await tab.evaluate(fillIn, "process", { on: false });
  const bus_of_hub = await hub.bus("playground");
  // The bus of the hub itself is the other one.
  await tab.waitFor(isComplete, { args: [2], what: "the tab is there once, and hosts the rest" });
  await bus_of_hub.queue("jobs").send({ task: "look" });
  await tab.waitFor(selectQueue, { args: ["jobs"], what: "the queue is listed" });
  await tab.waitFor(peeked, { args: [1], what: "the job is shown" });
  const homes = () => ({
    row: document.querySelector('[data-queue="jobs"]').dataset.home,
    tag: document.querySelector("#detail-notes").firstElementChild.textContent,
  });
  assert.deepEqual(await tab.evaluate(homes), { row: "hub", tag: "lives at the hub" });
  await tab.evaluate(press, '#peeked [aria-label^="Move"]');
  const answer = () => {
    const { textContent, dataset } = document.querySelector("#inspect-answer");
    return dataset.kind === "error" && textContent;
  };
  assert.match(await tab.waitFor(answer), /^MIXED_HOMES: .* Share both with the hub, or neither$/);
  await assertClean(tab);
  await tab.screenshot(join(t.run.screenshots, `playground-${t.engine}-share.png`));
  await served.close();
  await tab.waitFor(hubState, { args: ["is away"], what: "it is told that the hub is away" });
});

test("playground: tabs share jobs, and a killed host loses none", { folders: SITE }, async (t) => {
  const tabs = await openTabs(t, 3);
  const [first] = tabs;
  // Enough work that each tab has had some, and some is left when the host is killed.
  for (const tab of tabs) await tab.evaluate(fillIn, "process", { concurrency: "4", work: "200" });
  await first.evaluate(press, "#send-many");
  for (const tab of tabs) {
    await tab.waitFor(() => {
      const done = document.querySelector("[data-me=true] .tab-total").textContent;
      return Number.parseInt(done, 10) >= 5;
    }, { deadline_ms: WORK_MS, what: "this tab has done jobs" });
  }
  const epoch = await first.evaluate(epochOf);
  const hosts_before = await Promise.all(tabs.map((tab) => tab.evaluate(isHost)));
  await first.evaluate(press, "#kill-host");
  await first.waitFor((before) => {
    const [, after] = /epoch (\d+)/.exec(document.querySelector("#hosting").textContent);
    return Number(after) > before;
  }, { args: [epoch], what: "another epoch" });
  for (const tab of tabs) {
    await tab.waitFor(() => document.querySelector("#lost").textContent === "0", {
      deadline_ms: WORK_MS, what: "no job is lost",
    });
    await tab.waitFor(countIs, { args: ["done", String(JOBS)], what: "all jobs are done" });
    await assertClean(tab);
  }
  // Each page shows it a moment after it knows.
  const hostsOf = () => Promise.all(tabs.map((tab) => tab.evaluate(isHost)));
  const isOne = async () => (await hostsOf()).filter(Boolean).length === 1;
  await until(isOne, WORK_MS, "one of the tabs hosts");
  assert.notDeepEqual(await hostsOf(), hosts_before, "another tab hosts");
  await first.waitFor(() => {
    return document.querySelector("#step-kill-text").textContent.includes("took over after");
  });
  await first.screenshot(join(t.run.screenshots, `playground-${t.engine}-end.png`));
});

test("playground: a killed worker loses none either", { folders: SITE }, async (t) => {
  const tabs = [];
  for (let index = 0; index < 2; index += 1) tabs.push(await t.openTab("/index.html?debug"));
  const [first] = tabs;
  const hosted = () => {
    const text = document.querySelector("#hosting").textContent;
    return text.startsWith("A worker that all tabs share hosts");
  };
  for (const tab of tabs) await tab.waitFor(hosted, { what: "the worker hosts" });
  const epoch = await first.evaluate(epochOf);
  await first.evaluate(press, "#send-many");
  await first.waitFor(() => Number(document.querySelector("#count-done").textContent) >= 5, {
    deadline_ms: WORK_MS, what: "jobs are done",
  });
  await first.evaluate(press, "#kill-host");
  await first.waitFor((before) => {
    const [, after] = /epoch (\d+)/.exec(document.querySelector("#hosting").textContent);
    return Number(after) > before;
  }, { args: [epoch], what: "another epoch" });
  for (const tab of tabs) {
    await tab.waitFor(countIs, {
      args: ["done", String(JOBS)], deadline_ms: WORK_MS, what: "all jobs are done",
    });
    await tab.waitFor(() => document.querySelector("#lost").textContent === "0");
    await assertClean(tab);
  }
});

test("playground: live messages and calls reach other tabs", { folders: SITE }, async (t) => {
  const [a, b] = await openTabs(t, 2);
  await b.waitFor(() => document.querySelector("#subscribe-answer").dataset.kind === "done", {
    what: "its subscription is heard of",
  });
  await a.evaluate(fillIn, "publish", { topic: "demo.greeting", body: '{ "text": "from a" }' });
  await a.evaluate(press, "#publish button");
  await b.waitFor(logged, { args: ['demo.greeting {"text":"from a"}'] });
  await a.evaluate(fillIn, "serve", { on: false });
  await a.evaluate(fillIn, "call", { a: "20", b: "22" });
  await a.evaluate(press, "#call button[type=submit]");
  await a.waitFor(() => document.querySelector("#calls").textContent.includes("42, by"));
  await b.waitFor(() => document.querySelector("#serve-answer").textContent === "1 call answered");
  await a.evaluate(fillIn, "call", { method: "throws", message: "out of ink" });
  await a.evaluate(press, "#call button[type=submit]");
  await a.waitFor(() => {
    return document.querySelector("#calls").textContent.includes("RangeError: out of ink");
  });
  await a.evaluate(fillIn, "publish", { body: "{ no JSON" });
  await a.evaluate(press, "#publish button");
  await a.waitFor(() => document.querySelector("#publish [name=body]").ariaInvalid === "true");
  for (const tab of [a, b]) await assertClean(tab);
});

test("playground: failing jobs become dead letters and can be sent again", {
  folders: SITE,
}, async (t) => {
  const [tab] = await openTabs(t, 1);
  await tab.evaluate(fillIn, "process", { work: "0", fail: "100" });
  await tab.evaluate(fillIn, "send", { count: "3" });
  await tab.evaluate(press, "#send button");
  await tab.waitFor(countIs, { args: ["dead", "3"], deadline_ms: WORK_MS, what: "3 dead letters" });
  await tab.evaluate(fillIn, "process", { fail: "0" });
  await tab.waitFor(selectQueue, { args: ["jobs.dead"], what: "the dead letters are listed" });
  await tab.waitFor(peeked, { args: [3], what: "3 dead letters are shown" });
  const text = await tab.evaluate(() => document.querySelector("#peeked").textContent);
  assert.match(text, /attempt 3 of 3 failed in jobs, deliveries-max, 3 failed deliveries/);
  await tab.evaluate(press, '#peeked [aria-label^="Delete"]');
  await tab.waitFor(peeked, { args: [2], what: "one is deleted" });
  await tab.evaluate(press, "#do-redrive");
  await tab.waitFor(countIs, { args: ["done", "2"], deadline_ms: WORK_MS, what: "2 are done" });
  await tab.waitFor(countIs, { args: ["dead", "0"] });
  await tab.waitFor(() => document.querySelector("#lost").textContent === "0");
  await assertClean(tab);
});

test("playground: a tab looks into a queue and runs it by hand", { folders: SITE }, async (t) => {
  const [tab, other] = await openTabs(t, 2);
  for (const each of [tab, other]) await each.evaluate(fillIn, "process", { on: false });
  await other.evaluate(fillIn, "send", { count: "4", body: '{ "task": "look" }' });
  await other.evaluate(press, "#send button");
  await tab.waitFor(selectQueue, { args: ["jobs"] });
  await tab.waitFor(peeked, { args: [4], what: "4 jobs are shown" });
  const inside = () => document.querySelector("#peeked pre").textContent;
  assert.deepEqual(JSON.parse(await tab.evaluate(inside)), { task: "look" });
  await tab.evaluate(press, "#do-pause");
  const paused = () => document.querySelector('[data-queue="jobs"]')?.dataset.paused === "true";
  await other.waitFor(paused, { what: "the other tab sees the pause" });
  await tab.evaluate(() => {
    const target = document.querySelector('#peeked [aria-label^="Where"]');
    target.value = "jobs.aside";
    document.querySelector('#peeked [aria-label^="Move"]').click();
  });
  await tab.waitFor(peeked, { args: [3], what: "one is moved" });
  await other.waitFor(selectQueue, { args: ["jobs.aside"], what: "the queue that it went to" });
  await other.waitFor(peeked, { args: [1], what: "it is there" });
  for (const each of [1, 2]) await tab.evaluate(press, "#do-purge", each);
  await tab.waitFor(peeked, { args: [0], what: "the rest is purged" });
  await tab.evaluate(press, "#do-pause");
  await tab.waitFor(() => document.querySelector("#lost").textContent === "0");
  for (const each of [tab, other]) await assertClean(each);
});

const verdictIs = (kind) =>
  document.querySelector("#simulated-verdict").dataset.kind === kind;
const simulated = () => ({
  verdict: document.querySelector("#simulated-verdict").textContent,
  facts: Object.fromEntries([...document.querySelectorAll("#simulated-facts div")].map((fact) => {
    return [fact.querySelector("dt").textContent, fact.querySelector("dd").textContent];
  })),
  replays: [...document.querySelectorAll("#findings pre")].map(({ textContent }) => textContent),
});

test("playground: the simulator runs seeds, and shows a broken promise with its seed", {
  folders: SITE,
}, async (t) => {
  const [tab] = await openTabs(t, 1);
  await tab.evaluate(fillIn, "simulate", { seed: "5", seeds: "2" });
  await tab.evaluate(press, "#faults-none");
  await tab.evaluate(fillIn, "simulate", { "fault-node-died": "1000" });
  await tab.evaluate(press, "#simulate-run");
  await tab.waitFor(verdictIs, { args: ["kept"], deadline_ms: WORK_MS, what: "2 seeds have run" });
  const kept = await tab.evaluate(simulated);
  assert.equal(kept.verdict, "All promises were kept in 2 seeds.");
  assert.equal(kept.facts.Seeds, "2");
  const occurred = (kind) =>
    document.querySelector(`[name=fault-${kind}]`).closest("label").textContent;
  assert.match(await tab.evaluate(occurred, "node-died"), /came [1-9]\d* times?/);
  assert.match(await tab.evaluate(occurred, "message-dropped"), /came 0 times/);

  await tab.evaluate(press, "#faults-planned");
  await tab.evaluate(fillIn, "simulate", { seed: "1" });
  await tab.evaluate(() => {
    document.querySelector("#simulate-without").value = "higher_first";
  });
  await tab.evaluate(press, "#simulate-run");
  await tab.waitFor(verdictIs, { args: ["broken"], deadline_ms: WORK_MS, what: "it is noticed" });
  const { replays } = await tab.evaluate(simulated);
  assert.equal(replays[0], "cargo xtask sim --seed 1 --without higher_first");

  await tab.evaluate(fillIn, "simulate", { seeds: "10000" });
  await tab.evaluate(press, "#simulate-run");
  await tab.waitFor(() => document.querySelector("#simulated-progress").value >= 1, {
    deadline_ms: WORK_MS, what: "the page is alive while seeds run",
  });
  await tab.evaluate(press, "#simulate-stop");
  await tab.waitFor(() => document.querySelector("#simulate-answer").textContent === "Stopped.");
  await tab.evaluate(fillIn, "simulate", { seed: "1.5" });
  await tab.evaluate(press, "#simulate-run");
  await tab.waitFor(() => {
    return document.querySelector("#simulate [name=seed]").ariaInvalid === "true";
  });
  await assertClean(tab);
});

/** Work of every kind, so that everything the page can show is there to be looked at. */
async function showEverything(tab) {
  await tab.evaluate(fillIn, "process", { work: "200", fail: "60" });
  await tab.evaluate(press, "#send-many");
  await tab.evaluate(press, "#publish button");
  await tab.evaluate(press, "#call button[type=submit]");
  await tab.evaluate(fillIn, "call", { method: "throws" });
  await tab.evaluate(press, "#call button[type=submit]");
  await tab.waitFor(() => document.querySelectorAll("#calls .row").length === 2);
  await tab.waitFor(() => Number(document.querySelector("#count-done").textContent) > 80, {
    deadline_ms: WORK_MS, what: "80 jobs are done",
  });
  await tab.waitFor(selectQueue, {
    args: ["jobs.dead"], deadline_ms: WORK_MS, what: "there are dead letters",
  });
  await tab.evaluate(() => {
    document.querySelector("#simulate-without").value = "higher_first";
    for (const group of document.querySelectorAll(".fault-group")) group.open = true;
  });
  await tab.evaluate(fillIn, "simulate", { seeds: "2", "fault-node-died": "300" });
  await tab.evaluate(press, "#simulate-run");
  await tab.waitFor(verdictIs, { args: ["broken"], deadline_ms: WORK_MS, what: "seeds have run" });
  await tab.waitFor(() => {
    const dead = document.querySelector("#peeked .deaths")?.closest("details");
    if (dead) dead.open = true;
    return dead !== undefined;
  });
}

async function assertAccessible(tab) {
  await tab.evaluate(`() => {\n${readFileSync(AXE, "utf8")}\n}`);
  const violations = await tab.evaluateWithin(WORK_MS, async () => {
    const report = await globalThis.axe.run();
    return report.violations.map(({ id, impact, nodes }) => {
      return { id, impact, places: nodes.map(({ target }) => target.join(" ")) };
    });
  });
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(serious, []);
}

for (const color_scheme of ["light", "dark"]) {
  for (const viewport of SIZES) {
    const { width, height } = viewport;
    test(`playground: looks and reads well, ${color_scheme}, ${width} by ${height}`, {
      engines: ["chromium"], folders: SITE, browser: { color_scheme },
    }, async (t) => {
      const [tab] = await openTabs(t, 2, { viewport });
      const picture = (name) => join(t.run.screenshots, `playground-${name}.png`);
      await tab.screenshot(picture(`${color_scheme}-${width}-start`));
      await assertAccessible(tab);
      await showEverything(tab);
      await tab.screenshot(picture(`${color_scheme}-${width}`));
      await tab.page.screenshot({
        path: picture(`${color_scheme}-${width}-whole`), fullPage: true,
      });
      const size = await tab.evaluate(() => {
        return { page: document.documentElement.scrollWidth, window: innerWidth };
      });
      assert.equal(size.page, size.window, "nothing to scroll sideways");
      await assertAccessible(tab);
      await assertClean(tab);
    });
  }
}

test("playground: everything can be reached and pressed by keyboard", {
  engines: ["chromium"], folders: SITE,
}, async (t) => {
  const [tab] = await openTabs(t, 1, { viewport: SIZES[0] });
  await tab.waitFor(() => document.querySelector("#queue-detail").dataset.empty === "false", {
    what: "a queue is there to be looked into",
  });
  const { keyboard } = tab.page;
  const reached = new Map();
  for (;;) {
    await keyboard.press("Tab");
    const found = await tab.evaluate(() => {
      const focused = document.activeElement;
      if (focused === document.body) return null;
      const { outlineStyle, outlineWidth } = getComputedStyle(focused);
      const { width, height, top } = focused.getBoundingClientRect();
      return {
        name: focused.id || `${focused.form?.id} ${focused.name || focused.textContent.trim()}`,
        ring: outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 2,
        seen: width > 0 && height > 0 && top >= 0 && top < innerHeight,
      };
    });
    if (found === null || reached.has(found.name)) break;
    reached.set(found.name, found);
  }
  const unseen = [...reached.values()].filter(({ ring, seen }) => !ring || !seen);
  assert.deepEqual(unseen, []);
  for (const name of [
    "open-tab", "send-many", "kill-host", "log", "publish topic", "publish Publish",
    "subscribe filter", "send Send", "process fail", "do-pause", "do-purge", "call method",
    "call Call", "serve on", "simulate seed", "simulate fault-message-dropped", "simulate-run",
  ]) {
    assert.ok(reached.has(name), `${name} is reached; ${[...reached.keys()].join(", ")}`);
  }
  await tab.evaluate(() => document.querySelector("#send [name=count]").focus());
  await keyboard.press("Enter");
  await tab.waitFor(logged, { args: ["50 jobs"], what: "Enter sends the form" });
});
