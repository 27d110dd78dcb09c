// The core of the realm that hosts panics at a frame of another tab: somebody goes on with the log,
// nobody takes the dead instance for a living one, and a realm that panics again and again ends.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, hostOf, joinBus, openBus, openPrepared, startSending } from "./bus.mjs";

const COUNT = 50;
const WORDS = "make the core panic";
const RECOVERY_MS = 30_000;

const panicking = { folders, panics: true };

/** A page whose core panics at a marked frame, so often. */
async function openFaulty(t, label, panics) {
  const load = () => import("/bus/faults.js").then(() => null);
  const tab = await openPrepared(t, label, load);
  await tab.evaluate((count) => void (globalThis.panicsLeft = count), panics);
  return tab;
}

/** In the page: sends what the faulty core panics at. */
function startPoison(body) {
  globalThis.poison = globalThis.outcome(globalThis.bus.queue("jobs").send(body));
}

/** Sends before and after what makes the host panic; resolves once all is confirmed. */
async function sendThrough(producer) {
  const sent = (count) => globalThis.confirmed.length >= count;
  await producer.evaluate(startSending, 0, COUNT);
  await producer.waitFor(sent, { args: [COUNT], deadline_ms: RECOVERY_MS });
  await producer.evaluate(startPoison, WORDS);
  await producer.evaluate(startSending, COUNT, COUNT);
  await producer.waitFor(sent, { args: [2 * COUNT], deadline_ms: RECOVERY_MS });
  assert.deepEqual(await producer.evaluate(() => globalThis.inbox), []);
  const { code } = await producer.evaluate(() => globalThis.poison);
  assert.equal(code, undefined, "what made the host panic is stored by the next one");
}

/** Everything is there once, and what makes a core panic as often as it was sent. */
async function requireAll(tab, poisons = 1) {
  const found = await tab.evaluate(async () => {
    const bodies = [];
    for await (const { body } of globalThis.bus.queue("jobs").browse()) bodies.push(body);
    return bodies;
  });
  const numbers = Array.from({ length: 2 * COUNT }, (_, number) => number);
  const expected = [...numbers, ...Array.from({ length: poisons }, () => WORDS)];
  assert.deepEqual(found.sort(), expected.sort());
}

function waitForPeers(tab, count) {
  const seen = (wanted) => globalThis.bus.peers.get().length === wanted;
  return tab.waitFor(seen, { args: [count], what: `${tab.label} sees ${count} peers` });
}

test("a page that hosts panics at a frame, and another hosts on", panicking, async (t) => {
  const host = await openFaulty(t, "host", 1);
  const { epoch } = await joinBus(host, { host: "tab" });
  const producer = await openBus(t, "producer", { host: "tab" });
  // It never gets an answer, and has an end all the same.
  await host.evaluate(async () => {
    await globalThis.bus.serve("silent", { ask: () => new Promise(() => {}) }).ready();
    const call = globalThis.bus.client("silent", { timeout: "1m" }).ask();
    globalThis.waiting = globalThis.outcome(call);
  });
  await sendThrough(producer);
  assert.equal((await host.evaluate(() => globalThis.waiting)).code, "INTERNAL");
  assert.equal(await host.evaluate(() => globalThis.restarts.length), 1, "it was told");
  await host.evaluate(() => globalThis.bus.ready());
  assert.equal(await host.evaluate(() => globalThis.instances), 2);
  assert.ok((await hostOf(producer)).epoch > epoch, "there is another node");
  // Not its first client, which nobody could reach.
  for (const tab of [host, producer]) await waitForPeers(tab, 2);
  await requireAll(host);
});

test("a page that hosts panics in a verb, and another hosts on", panicking, async (t) => {
  const host = await openFaulty(t, "host", 0);
  await joinBus(host, { host: "tab" });
  const producer = await openBus(t, "producer", { host: "tab" });
  await producer.evaluate(() => globalThis.bus.queue("jobs").send("kept").then(() => null));
  const { code } = await host.evaluate(() => {
    globalThis.panicsNow = true;
    return globalThis.outcome(globalThis.bus.publish("topic", 1));
  });
  assert.equal(code, "INTERNAL");
  await host.evaluate(() => globalThis.bus.ready());
  for (const tab of [host, producer]) await waitForPeers(tab, 2);
  const info = await host.evaluate(() => globalThis.bus.queue("jobs").info());
  assert.equal(info.ready, 1);
});

test("a page that hosts nothing panics, and others get what it held", panicking, async (t) => {
  const host = await openBus(t, "host", { host: "tab" });
  const client = await openFaulty(t, "client", 1);
  await joinBus(client, { host: "tab" });
  await host.evaluate(() => globalThis.bus.queue("jobs", { lease: "1m" }).send("held"));
  await client.evaluate(async () => {
    await globalThis.bus.subscribe("topic", () => {}).ready();
    [globalThis.delivery] = await globalThis.bus.queue("jobs", { lease: "1m" }).receive();
  });
  await host.evaluate((body) => globalThis.bus.publish("topic", body).then(() => null), WORDS);
  // Long before its lease is over.
  const [body, attempt] = await host.evaluate(async () => {
    const [delivery] = await globalThis.bus.queue("jobs", { lease: "1m" }).receive();
    return [delivery.body, delivery.attempt];
  });
  assert.deepEqual([body, attempt], ["held", 2]);
  const late = await client.evaluate(() => globalThis.outcome(globalThis.delivery.ack()));
  assert.equal(late.code, "STALE_LEASE");
  await client.waitFor(() => globalThis.instances === 2, { what: "it has begun anew" });
  await client.evaluate(() => globalThis.bus.ready());
  for (const tab of [host, client]) await waitForPeers(tab, 2);
});

/** Joins with a shared worker whose core panics so often. */
function joinFaultyWorker(tab, host, panics) {
  const join = (options, count) => {
    const worker = `/bus/faulty-worker.js?panics=${count}`;
    return globalThis.connect("test", { ...options, assets: { worker } });
  };
  return tab.evaluate(join, { host }, panics);
}

const runsIn = (tab, kind) =>
  tab.waitFor((wanted) => globalThis.bus.host.get().kind === wanted, {
    args: [kind],
    what: `the node runs in a ${kind}`,
    deadline_ms: RECOVERY_MS,
  });

test("a shared worker panics: a page stands in until it is back", panicking, async (t) => {
  const first = await openFaulty(t, "first", 0);
  await joinFaultyWorker(first, "auto", 1);
  await runsIn(first, "shared-worker");
  const { epoch } = await hostOf(first);
  const producer = await openFaulty(t, "producer", 0);
  await joinFaultyWorker(producer, "auto", 1);
  await sendThrough(producer);
  for (const tab of [first, producer]) await runsIn(tab, "shared-worker");
  assert.ok((await hostOf(producer)).epoch > epoch, "there is another node");
  for (const tab of [first, producer]) await waitForPeers(tab, 2);
  await requireAll(first);
});

/** In the page: keeps the code of the next error of the bus. */
function awaitError() {
  const tell = ({ detail }) => void (globalThis.told = detail.code);
  globalThis.bus.addEventListener("error", tell);
}

/**
 * In the page: sends what makes the worker panic until the error is told; resolves to how often. A
 * page that stands in takes it without harm, so once may not be enough.
 */
function startPoisonUntilTold(body) {
  const send = async () => {
    let count = 0;
    for (; !globalThis.told; count += 1) await globalThis.bus.queue("jobs").send(body);
    return count;
  };
  globalThis.poison = globalThis.outcome(send());
}

test("a shared worker panics again and again: pages are told, and host", panicking, async (t) => {
  const first = await openFaulty(t, "first", 0);
  await joinFaultyWorker(first, "auto", 1000);
  await runsIn(first, "shared-worker");
  const producer = await openFaulty(t, "producer", 0);
  await joinFaultyWorker(producer, "auto", 1000);
  for (const tab of [first, producer]) await tab.evaluate(awaitError);
  const sent = (count) => globalThis.confirmed.length >= count;
  await producer.evaluate(startSending, 0, COUNT);
  await producer.waitFor(sent, { args: [COUNT], deadline_ms: RECOVERY_MS });
  await producer.evaluate(startPoisonUntilTold, WORDS);
  await producer.evaluate(startSending, COUNT, COUNT);
  for (const tab of [first, producer]) {
    const told = () => globalThis.told;
    const code = await tab.waitFor(told, { deadline_ms: RECOVERY_MS, what: "an error event" });
    assert.equal(code, "UNAVAILABLE");
    await runsIn(tab, "tab");
  }
  await producer.waitFor(sent, { args: [2 * COUNT], deadline_ms: RECOVERY_MS });
  const { value: poisons, code } = await producer.evaluate(() => globalThis.poison);
  assert.equal(code, undefined);
  await requireAll(first, poisons);
  for (const tab of [first, producer]) await waitForPeers(tab, 2);
});

test("nobody may host but a worker that panics: pages are told", panicking, async (t) => {
  const tab = await openFaulty(t, "only", 0);
  await joinFaultyWorker(tab, "shared-worker", 1000);
  await tab.evaluate(awaitError);
  await tab.evaluate(startPoison, WORDS);
  const told = () => globalThis.told;
  const code = await tab.waitFor(told, { deadline_ms: RECOVERY_MS, what: "an error event" });
  assert.equal(code, "UNAVAILABLE");
});

test("a page that panics three times ends, and another hosts on", panicking, async (t) => {
  const host = await openFaulty(t, "host", 1000);
  await joinBus(host, { host: "tab" });
  const producer = await openBus(t, "producer", { host: "tab" });
  const tell = (body) => globalThis.bus.publish("topic", body).then(({ at }) => at);
  const listen = () => globalThis.bus.subscribe("topic", () => {}).ready();
  await host.evaluate(listen);
  await sendThrough(producer);
  // Each time it is back from the panic before: one instance panics once, whatever it is told.
  const isBack = (restarts) =>
    globalThis.restarts.length === restarts && globalThis.bus.status.get() === "ready";
  for (let panics = 2; panics <= 3; panics += 1) {
    await host.waitFor(isBack, { args: [panics - 1], what: `it is back for panic ${panics}` });
    assert.equal(await producer.evaluate(tell, WORDS), "device");
  }
  await host.waitFor(() => globalThis.bus.status.get() === "closed", { what: "it has ended" });
  const errors = await host.evaluate(() => globalThis.inbox);
  assert.equal(errors.length, 1);
  assert.match(errors[0][1], /INTERNAL|failed/);
  assert.equal(await host.evaluate(() => globalThis.instances), 3, "it was not tried again");
  const after = await host.evaluate(() => globalThis.outcome(globalThis.bus.publish("topic", 1)));
  assert.equal(after.code, "INTERNAL");
  await waitForPeers(producer, 1);
  await requireAll(producer);
});
