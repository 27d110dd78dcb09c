// Another page of the origin, without the package, says anything at all on the channels of a bus:
// who works goes on, whoever breaks the protocol is hung up with a code, and memory stays bounded.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../lib/run.mjs";
import { test } from "../lib/runner.mjs";
import { folders as served, joinBus, openPrepared, PATIENT, requireHost } from "./bus.mjs";
import { heapBytes, measureWasm, wasmBytes, workerBytes } from "./memory.mjs";

const folders = { ...served, "/cborg/": join(ROOT, "node_modules/cborg") };
const SETTLE_MS = 120_000;
const everywhere = { folders, hosts: true, deadline_ms: 2 * SETTLE_MS };

const WORKER = "/bus/measured-worker.js";
/** What a core may grow by for messages as long as they may be, and the work that waits. */
const WASM_GROWTH_MAX = 8 << 20;
/** For as many sessions as a node has, or frames of `link_bytes_max`. */
const WASM_GROWTH_OF_SESSIONS_MAX = 64 << 20;
const HEAP_GROWTH_MAX = 16 << 20;

/** In the page: serves, listens and works; the other tab asks, tells and sends. */
async function takePart() {
  const { bus } = globalThis;
  globalThis.heard = [];
  globalThis.effects = [];
  await bus.serve("adder@1", { add: (a, b) => a + b }).ready();
  const hear = ({ body }) => void globalThis.heard.push(body);
  await bus.subscribe("numbers", { onGap: () => hear({ body: "gap" }) }, hear).ready();
  const take = ({ body, attempt }) => void globalThis.effects.push([body, attempt]);
  await bus.queue("jobs").process(take).ready();
}

/** In the page: works until it is told to stop. A flood may hold each of its verbs up for long. */
function startWork(timeout) {
  const { bus } = globalThis;
  globalThis.refusals = [];
  const adder = bus.client("adder@1", { timeout });
  globalThis.going = true;
  globalThis.rounds = 0;
  globalThis.working = (async () => {
    for (; globalThis.going; globalThis.rounds += 1) {
      const number = globalThis.rounds;
      await bus.queue("jobs").send(number, { timeout });
      await bus.publish("numbers", number, { timeout });
      const { value, code } = await globalThis.outcome(adder.add(number, 1));
      if (code) globalThis.refusals.push(code);
      else if (value !== number + 1) throw new Error(`${number} + 1 is not ${value}`);
    }
  })();
  globalThis.working.catch((error) => globalThis.inbox.push(["work", String(error)]));
}

async function openHonest(t, label, options) {
  const tab = await openPrepared(t, label, measureWasm);
  await joinBus(tab, { assets: { worker: WORKER }, ...options });
  return tab;
}

/** Two tabs that work, and a page that will not. */
async function openThree(t, options) {
  const taker = await openHonest(t, "taker", options);
  await requireHost(taker);
  const giver = await openHonest(t, "giver", options);
  await taker.evaluate(takePart);
  await giver.evaluate(startWork, SETTLE_MS);
  const intruder = await t.openTab("/hostile/index.html", { label: "intruder" });
  await intruder.waitFor(() => globalThis.loaded, { what: "the intruder is ready" });
  return { taker, giver, intruder };
}

/** What a call may be told while whoever serves dials again. */
const LINK_LOST = ["UNAVAILABLE", "PEER_LOST"];

const roundsOf = (tab) => tab.evaluate(() => globalThis.rounds);

/** Whoever works gets further than it is now. */
async function waitForRounds(giver, more) {
  const wanted = (await roundsOf(giver)) + more;
  const there = (count) => globalThis.rounds >= count || globalThis.inbox.length > 0;
  await giver.waitFor(there, { args: [wanted], deadline_ms: SETTLE_MS, what: "work goes on" });
}

/**
 * All that was sent, told and asked arrived: once, in order, and in the first attempt, unless
 * somebody else was handed some of it (`again`).
 */
async function requireWork(
  { taker, giver },
  { besides = [], refusals = [], again = false } = {},
) {
  await waitForRounds(giver, 20);
  await giver.evaluate(() => {
    globalThis.going = false;
    return globalThis.working;
  });
  for (const tab of [taker, giver]) {
    assert.deepEqual(await tab.evaluate(() => globalThis.restarts), [], tab.label);
  }
  const refused = await giver.evaluate(() => globalThis.refusals);
  assert.deepEqual(refused.filter((code) => !refusals.includes(code)), []);
  const numbers = Array.from({ length: await roundsOf(giver) }, (_, number) => number);
  const done = (count) => globalThis.effects.filter(([body]) => body >= 0).length >= count;
  const heard = (count) => globalThis.heard.length >= count;
  for (const arrived of [done, heard]) {
    await taker.waitFor(arrived, { args: [numbers.length], deadline_ms: SETTLE_MS });
  }
  const effects = await taker.evaluate(() => globalThis.effects);
  const own = effects.filter(([body]) => typeof body === "number");
  const attempts = own.map(([number, attempt]) => [number, again ? Math.min(attempt, 1) : attempt]);
  assert.deepEqual(attempts, numbers.map((number) => [number, 1]));
  const others = effects.filter(([body]) => typeof body !== "number").map(([body]) => body);
  assert.deepEqual([...new Set(others)], besides);
  assert.deepEqual(await taker.evaluate(() => globalThis.heard), numbers);
  for (const tab of [taker, giver]) {
    assert.deepEqual(await tab.evaluate(() => globalThis.inbox), [], tab.label);
    const errors = tab.console.filter(({ level }) => level === "error" || level === "crash");
    assert.deepEqual(errors, [], tab.label);
    assert.equal(await tab.evaluate(() => ({}).polluted), null);
  }
}

/** By name; the worker counts where it hosts. */
async function takeStock(t, { taker, giver }) {
  const stock = {};
  for (const tab of [taker, giver]) {
    stock[`wasm of ${tab.label}`] = await wasmBytes(tab);
    stock[`heap of ${tab.label}`] = await heapBytes(t, tab);
  }
  if (t.host !== "tab") stock["wasm of worker"] = await workerBytes(taker, SETTLE_MS);
  return stock;
}

function requireBounded(t, before, after, wasm_max = WASM_GROWTH_MAX) {
  for (const [name, bytes] of Object.entries(before)) {
    if (bytes === undefined) continue;
    assert.ok(bytes > 0, name);
    const grown = after[name] - bytes;
    t.measure(`${name.replaceAll(" ", "_")}_mib`, grown / 2 ** 20);
    const most = name.startsWith("wasm") ? wasm_max : HEAP_GROWTH_MAX;
    assert.ok(grown <= most, `${name} grew from ${bytes} to ${after[name]} bytes`);
  }
}

test("rubbish on every channel changes nothing and takes no memory", everywhere, async (t) => {
  const tabs = await openThree(t);
  await waitForRounds(tabs.giver, 20);
  const before = await takeStock(t, tabs);
  await tabs.intruder.evaluate(() => globalThis.postRubbish());
  await waitForRounds(tabs.giver, 20);
  requireBounded(t, before, await takeStock(t, tabs));
  await requireWork(tabs);
});

test("messages said again, cut and flipped break no work", everywhere, async (t) => {
  const tabs = await openThree(t);
  await tabs.intruder.evaluate(() => globalThis.repeatDamaged(40));
  await requireWork(tabs, { refusals: LINK_LOST });
});

test("claims of epochs and of names hold work up for a while only", everywhere, async (t) => {
  const tabs = await openThree(t);
  const counters = ["18446744073709551615", "18446744073709551614", "4294967296", "2"];
  await tabs.intruder.evaluate((claimed) => globalThis.claimEpochs(claimed), counters);
  await waitForRounds(tabs.giver, 5);
  const host = await tabs.taker.evaluate(() => globalThis.bus.peer.id);
  const unanswered = t.host === "tab" ? host : null;
  await tabs.intruder.evaluate((id) => globalThis.impersonate(id), unanswered);
  // What was on its way to whom the intruder said to be is handed out again.
  await requireWork(tabs, { besides: ["forged"], refusals: LINK_LOST, again: true });
});

test("floods of greetings and of frames are bounded, and work goes on", everywhere, async (t) => {
  const tabs = await openThree(t, PATIENT);
  await waitForRounds(tabs.giver, 20);
  const before = await takeStock(t, tabs);
  await tabs.intruder.evaluate(() => globalThis.floodHellos(5000));
  await waitForRounds(tabs.giver, 5);
  await tabs.intruder.evaluate(() => globalThis.floodFrames(5000));
  await waitForRounds(tabs.giver, 20);
  requireBounded(t, before, await takeStock(t, tabs), WASM_GROWTH_OF_SESSIONS_MAX);
  await requireWork(tabs);
  const peers = await tabs.giver.evaluate(() => globalThis.bus.peers.get().length);
  assert.ok(peers <= 3, `${peers} peers`);
});

/** In the page: takes what comes as `bodies`, and keeps what of it can be read. */
async function takeBodies() {
  const { bus } = globalThis;
  globalThis.codes = [];
  globalThis.read = [];
  bus.addEventListener("error", ({ detail }) => globalThis.codes.push(detail.code));
  const take = ({ body }) => {
    const clean = Object.getPrototypeOf(body) === Object.prototype;
    globalThis.read.push([...Object.getOwnPropertyNames(body), clean, {}.polluted ?? "clean"]);
  };
  await bus.subscribe("bodies", take).ready();
  await bus.queue("bodies").process(take).ready();
}

test("bodies and names that no codec wrote are refused, each by itself", everywhere, async (t) => {
  const { taker, giver, intruder } = await openThree(t);
  await taker.evaluate(takeBodies);
  const bodies = await intruder.evaluate(() => globalThis.postBodies());
  const unread = bodies - 2;
  const all = (errors, read) =>
    globalThis.codes.length >= errors && globalThis.read.length >= read;
  await taker.waitFor(all, { args: [2 * unread, 4], what: "all bodies were looked at" });
  const codes = await taker.evaluate(() => globalThis.codes);
  assert.deepEqual(codes, Array.from({ length: 2 * unread }, () => "PROTOCOL"));
  const kinds = ["__proto__", "constructor"];
  const own = kinds.map((name) => [name, true, "clean"]);
  const read = await taker.evaluate(() => globalThis.read.sort());
  assert.deepEqual(read, [own[0], own[0], own[1], own[1]]);
  // The error is told in the tab before the host has heard of it.
  const dead = (count) =>
    globalThis.bus.queue("bodies").deadLetters.info().then(({ ready }) => ready === count);
  await giver.waitFor(dead, { args: [unread], what: "what can't be read is a dead letter" });
  const introduced = await intruder.evaluate(() => globalThis.introduce());
  const peers = (count) => globalThis.bus.peers.get().length === count;
  for (const tab of [taker, giver]) await tab.waitFor(peers, { args: [3 + introduced] });
  const names = await giver.evaluate(() => globalThis.bus.peers.get().map(({ name }) => name));
  assert.deepEqual(names.filter(Boolean), []);
  await taker.evaluate(() => void (globalThis.inbox.length = 0));
  await requireWork({ taker, giver });
});

/** In the page: what the package must not send, and how each of it is refused. */
async function tryBodies() {
  const { bus } = globalThis;
  const deep = [];
  for (let list = deep, depth = 0; depth < 10_000; depth += 1) list = list[list.push([]) - 1];
  const bodies = { large: "x".repeat(2 << 20), deep, code: () => 1, element: document.body };
  const verbs = {
    send: (body) => bus.queue("kept").send(body),
    publish: (body) => bus.publish("kept", body),
    call: (body) => bus.client("adder@1").add(body, 1),
  };
  const told = {};
  for (const [verb, run] of Object.entries(verbs)) {
    for (const [name, body] of Object.entries(bodies)) {
      told[`${verb} ${name}`] = (await globalThis.outcome(run(body))).code;
    }
  }
  told.name = (await globalThis.outcome(bus.queue("x".repeat(10_000)).send(1))).code;
  told.headers = (await globalThis.outcome(bus.queue("kept").send(1, { headers: { a: {} } }))).code;
  return told;
}

test("what must not travel is refused before any host hears of it", everywhere, async (t) => {
  const { taker, giver } = await openThree(t);
  const state = async () => {
    const queues = [];
    for await (const { info } of globalThis.bus.admin.list("kept")) queues.push(info ?? null);
    return [queues, (await globalThis.bus.queue("kept").info()).sentTotal];
  };
  await giver.evaluate(() => globalThis.bus.queue("kept").send("kept").then(() => null));
  const before = await taker.evaluate(state);
  const told = await giver.evaluate(tryBodies);
  for (const verb of ["send", "publish", "call"]) {
    assert.equal(told[`${verb} large`], "TOO_LARGE", verb);
    for (const name of ["deep", "code", "element"]) {
      assert.equal(told[`${verb} ${name}`], "UNENCODABLE", `${verb} ${name}`);
    }
  }
  assert.equal(told.headers, "INVALID");
  assert.ok(["INVALID", "TOO_LARGE"].includes(told.name), told.name);
  assert.deepEqual(await taker.evaluate(state), before);
  await requireWork({ taker, giver });
});

const ERRORS = readFileSync(join(ROOT, "docs/errors.md"), "utf8");
const documented = ERRORS.matchAll(/^## ([A-Z_]+)$[^#]*\(wire: (\d+)\)/gm);
/** By their number on the wire. */
const CODES = new Map(Array.from(documented, ([, code, number]) => [Number(number), code]));

const HUNG_UP = {
  garbage: "PROTOCOL",
  cut: "PROTOCOL",
  "an unknown tag": "PROTOCOL",
  "a frame of the node": "PROTOCOL",
  "a hole": "PROTOCOL",
  "a repeat": "PROTOCOL",
  "a fragment without an end": "TOO_LARGE",
  "a frame among fragments": "PROTOCOL",
  "a list longer than its bytes": "PROTOCOL",
  "millions of items": "PROTOCOL",
  "another epoch": "UNAVAILABLE",
  "version 2,9": "UPGRADE_REQUIRED",
  "version 0,0": "UPGRADE_REQUIRED",
  "version 9,2": "UPGRADE_REQUIRED",
};

test("a session that breaks the protocol is hung up with a code", everywhere, async (t) => {
  const tabs = await openThree(t);
  await waitForRounds(tabs.giver, 20);
  const before = await takeStock(t, tabs);
  const told = await tabs.intruder.evaluate(() => globalThis.provoke());
  const named = Object.entries(told).map(([name, number]) => [name, CODES.get(number)]);
  assert.deepEqual(Object.fromEntries(named), HUNG_UP);
  requireBounded(t, before, await takeStock(t, tabs), WASM_GROWTH_OF_SESSIONS_MAX);
  await requireWork(tabs);
});
