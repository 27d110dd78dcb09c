// Every promise of the package settles in time, with a documented code, whatever happens to it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../lib/run.mjs";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

const killing = { folders, hosts: true, kills: true };

const TIMEOUT_MS = 5_000;
/** For verbs that a new host must answer: until there is one their tabs do nothing. */
const REPLACED_MS = 15_000;
const GRACE_MS = 1_000;
/** Longest that is waited for what should have settled long before. */
const WATCHED_MS = 60_000;

const ERRORS = readFileSync(join(ROOT, "docs/errors.md"), "utf8");
const DOCUMENTED = new Set(Array.from(ERRORS.matchAll(/^## ([A-Z_]+)$/gm), ([, code]) => code));

/** In the serving page. */
async function serve() {
  const implementation = { add: (a, b) => a + b, never: () => new Promise(() => {}) };
  await globalThis.bus.serve("peer@1", implementation).ready();
}

/** In the page: everything that must exist before the verbs can be begun. */
async function prepare() {
  const { bus } = globalThis;
  const queue = bus.queue("held", { lease: "1m" });
  const consumer = queue.consume({ prefetch: 10 });
  const iterator = consumer[Symbol.asyncIterator]();
  globalThis.held = [];
  for (let number = 0; number < 5; number += 1) {
    await queue.send(number);
    globalThis.held.push((await iterator.next()).value);
  }
  globalThis.stopping = bus.queue("stopping").process(() => {});
  await globalThis.stopping.ready();
  globalThis.service = bus.serve("own@1", { add: (a, b) => a + b });
  await globalThis.service.ready();
  const sentTo = ["known", "batches", "streamed", "piped", "long"];
  for (const name of [...sentTo, "paused", "purged", "deleted", "gone"])
    await bus.queue(name).ready();
  for (const id of ["sent", "gone"]) await bus.queue("halves").prepare(id, { id });
  globalThis.pipe = async (sink) => {
    const writer = sink.getWriter();
    await writer.write({ body: 1 });
    await writer.close();
  };
  globalThis.exported = await bus.admin.export("held");
}

/** In the page: the verbs of an operator, for the others to be begun with. */
function offerAdminVerbs() {
  globalThis.adminVerbs = (admin, wait) => ({
    "admin.list": () => admin.list(undefined, wait).next().then(() => undefined),
    "admin.declare": () => admin.declare("declared", undefined, wait).then(() => undefined),
    "admin.info": () => admin.info("known", wait).then(() => undefined),
    "admin.peek": () => admin.peek("known", wait).next().then(() => undefined),
    "admin.move": () => admin.move("known", "paused", wait),
    "admin.deleteMessage": () => admin.deleteMessage("known", 1, wait),
    "admin.purge": () => admin.purge("purged", wait),
    "admin.redrive": () => admin.redrive("known", wait),
    "admin.pause": () => admin.pause("paused", wait),
    "admin.resume": () => admin.resume("paused", wait),
    "admin.delete": () => admin.delete("gone", wait),
    "admin.policy": () => admin.policy("p", "none.*", { lease: "9s" }, wait),
    "admin.removePolicy": () => admin.removePolicy("q", wait),
    "admin.policies": () => admin.policies(wait).then(() => undefined),
    "admin.trace": () => admin.trace("known", false, wait),
    "admin.export": () => admin.export("known", wait).then(() => undefined),
    "admin.import": () => admin.import(globalThis.exported, { into: "filled", ...wait }),
  });
}

/** In the page: how long its own timers take for that time. No verb can end earlier than they. */
function measureTimers(timeout) {
  globalThis.timer_ms = undefined;
  const begun = performance.now();
  setTimeout(() => (globalThis.timer_ms = performance.now() - begun), timeout);
}

/** In the page: begins each verb and notes how and after how long it settles. */
function beginVerbs(timeout) {
  const { bus, held, stopping, service } = globalThis;
  const wait = { timeout };
  const peer = bus.client("peer@1", wait);
  const known = bus.queue("known");
  const verbs = {
    ready: () => bus.ready(wait),
    publish: () => bus.publish("told", "body", wait),
    "topic.publish": () => bus.topic("told").publish("body", wait),
    "subscription.ready": () => bus.subscribe("told.#").ready(wait),
    "queue.ready": () => bus.queue("fresh").ready(wait),
    "queue.info": () => known.info(wait),
    send: () => known.send("body", wait),
    sendBatch: () => bus.queue("batches").sendBatch([{ body: 1 }, { body: 2 }], wait),
    sendAll: () => bus.queue("streamed").sendAll([{ body: 1 }, { body: 2 }], wait),
    writable: () => globalThis.pipe(bus.queue("piped").writable(wait)),
    receive: () => bus.queue("empty").receive(wait),
    "send until processed": () => bus.queue("long").send(1, { confirm: "processed", ...wait }),
    "receipt.delivered": () => known.receipt("nobody's").delivered(wait),
    "queue.pause": () => bus.queue("paused").pause(wait),
    "queue.resume": () => bus.queue("paused").resume(wait),
    "queue.cancel": () => bus.queue("known").cancel("nobody's", wait),
    "queue.purge": () => bus.queue("purged").purge(wait),
    "queue.delete": () => bus.queue("deleted").delete(wait),
    ...globalThis.adminVerbs(bus.admin, wait),
    "queue.schedule": () =>
      bus.queue("timed").schedule("k", { every: "1d" }, 1, wait).then(() => undefined),
    "queue.unschedule": () => bus.queue("timed").unschedule("other", wait),
    "queue.schedules": () => bus.queue("timed").schedules(wait).then(() => undefined),
    "queue.prepare": () => bus.queue("halves").prepare(1, wait).then(() => undefined),
    "prepared.commit": () => bus.queue("halves").prepared("sent").commit(wait).then(() => 0),
    "prepared.rollback": () => bus.queue("halves").prepared("gone").rollback(wait),
    "checker.ready": () => bus.queue("halves").onCheck(() => "unknown").ready(wait),
    "queue.browse": () => known.browse(wait).next().then(() => undefined),
    "consumer.ready": () => bus.queue("other").process(() => {}).ready(wait),
    "consumer.stop": () => stopping.stop({ drain: true, ...wait }),
    "delivery.ack": () => held[0].ack(undefined, wait),
    "delivery.retry": () => held[1].retry(wait),
    "delivery.reject": () => held[2].reject("why", wait),
    "delivery.release": () => held[3].release(wait),
    "delivery.extend": () => held[4].extend("1m", wait),
    "bus.transaction": () => bus.transaction((tx) => tx.queue("known").send(1), wait).then(() => 0),
    "service.ready": () => bus.serve("more@1", { add: () => 0 }).ready(wait),
    "service.stop": () => service.stop({ drain: true, ...wait }),
    "call that returns": () => peer.add(1, 2),
    "call that does not": () => peer.never(),
    "call of nobody": () => bus.client("nobody@1", wait).add(1, 2),
    "leadership.ready": () => bus.lead("chief", () => new Promise(() => {})).ready(wait),
    flush: () => bus.flush(wait),
  };
  globalThis.outcomes = {};
  const note = async (name, begin) => {
    const started = performance.now();
    const outcome = await globalThis.outcome(begin());
    const settled_ms = performance.now() - started;
    globalThis.outcomes[name] = { code: outcome.code, text: outcome.text, settled_ms };
  };
  for (const [name, begin] of Object.entries(verbs)) note(name, begin);
  return Object.keys(verbs).length;
}

/** In the page. */
function beginClose(timeout) {
  const started = performance.now();
  const note = async () => {
    const { code, text } = await globalThis.outcome(globalThis.bus.close({ drain: true, timeout }));
    globalThis.outcomes = { close: { code, text, settled_ms: performance.now() - started } };
  };
  note();
}

async function outcomesOf(tab, count) {
  const settled = (wanted) => Object.keys(globalThis.outcomes ?? {}).length === wanted;
  const late = { args: [count], deadline_ms: WATCHED_MS };
  await tab.waitFor(settled, late).catch(() => {});
  const timer_ms = await tab.waitFor(() => globalThis.timer_ms, { what: "its timer" });
  const outcomes = Object.entries(await tab.evaluate(() => globalThis.outcomes));
  return Object.fromEntries(
    outcomes.map(([name, { settled_ms, ...end }]) => {
      return [name, { ...end, late_ms: settled_ms - timer_ms }];
    }),
  );
}

/** Opens the tabs, runs the verbs through the fault and judges all outcomes but `expected`. */
async function settleThrough(t, { signals = false, timeout_ms = TIMEOUT_MS, before, fault }) {
  const host = await openBus(t, "host");
  const peer = await openBus(t, "peer");
  const actor = await openBus(t, "actor");
  const closer = await openBus(t, "closer");
  await peer.evaluate(serve);
  await actor.evaluate(prepare);
  await actor.evaluate(offerAdminVerbs);
  const owners = signals ? await t.browser.requireOwnProcesses() : undefined;
  const tabs = { host, peer, actor, closer, owners };
  await before?.(tabs);
  for (const tab of [actor, closer]) await tab.evaluate(measureTimers, timeout_ms);
  const count = await actor.evaluate(beginVerbs, timeout_ms);
  await closer.evaluate(beginClose, timeout_ms);
  await fault?.(tabs);
  const outcomes = { ...(await outcomesOf(actor, count)), ...(await outcomesOf(closer, 1)) };
  const wrong = Object.entries(outcomes).filter(
    ([, { code, text, late_ms }]) =>
      late_ms > GRACE_MS || (text !== undefined && !DOCUMENTED.has(code)),
  );
  assert.deepEqual(wrong, [], "in time, with a documented code");
  assert.equal(Object.keys(outcomes).length, count + 1, `settled: ${Object.keys(outcomes)}`);
  const codes = Object.entries(outcomes).map(([name, { code }]) => [name, code]);
  return Object.fromEntries(codes);
}

test("every verb settles when the host is killed", killing, async (t) => {
  const codes = await settleThrough(t, {
    signals: true,
    timeout_ms: REPLACED_MS,
    // Stopped first, so that none of the verbs is answered before the kill.
    before: ({ host, owners }) => host.stop(owners),
    fault: ({ host, owners }) => host.kill(owners),
  });
  // The next host answers what the client asks again; a receive without a message is no failure.
  const sends = ["send", "sendBatch", "sendAll", "writable"];
  for (const verb of ["ready", "publish", ...sends, "queue.info", "receive"]) {
    assert.equal(codes[verb], undefined, verb);
  }
});

test("every verb settles when its own bus is closed", { folders }, async (t) => {
  const codes = await settleThrough(t, {
    fault: ({ actor }) => actor.evaluate(() => globalThis.bus.close()),
  });
  assert.equal(codes["call that does not"], "CLOSED");
});

test("every verb settles when the peer is gone", { folders }, async (t) => {
  const codes = await settleThrough(t, { fault: ({ peer }) => peer.close() });
  assert.equal(codes["call that does not"], "PEER_LOST");
  assert.equal(codes["call of nobody"], "UNAVAILABLE");
  assert.equal(codes.send, undefined);
});

/** Some megabytes, one message after the other. */
const FILLING_MS = 120_000;

/** In the page: sends until the storage takes no more. */
async function sendUntilFull() {
  for (let number = 0; number < 2_000; number += 1) {
    // Random, because what is stored may be compressed.
    const body = crypto.getRandomValues(new Uint8Array(16_384));
    const { code } = await globalThis.outcome(globalThis.bus.queue("known").send(body));
    if (code !== undefined) return code;
  }
  return "never";
}

/** Chromium is told the quota before it looks, and looks again only after half a minute. */
async function limitStorage(t) {
  if (t.engine !== "chromium") return;
  const tab = await t.openTab("/blank.html", { label: "quota" });
  const session = await tab.page.createCDPSession();
  const quota = { origin: t.server.origin, quotaSize: 10 << 20 };
  await session.send("Storage.overrideQuotaForOrigin", quota);
}

// WebKitGTK has no way to set the quota of an origin.
const full = { folders, engines: ["chromium", "firefox"], browser: { storage_kib_max: 10_240 } };

test("every verb settles when the storage is full", full, async (t) => {
  await limitStorage(t);
  const codes = await settleThrough(t, {
    before: async ({ actor }) => {
      assert.equal(await actor.evaluateWithin(FILLING_MS, sendUntilFull), "STORAGE");
    },
  });
  // Where the log could store its reserve again meanwhile, there is room for a short message.
  for (const verb of ["send", "sendBatch"])
    assert.ok([undefined, "STORAGE"].includes(codes[verb]), `${verb}: ${codes[verb]}`);
  assert.equal(codes.publish, undefined);
});
