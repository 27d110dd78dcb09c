// The core panics in the middle of its work, or gets no more memory: what was confirmed is there
// afterwards, and all that waited has an end.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import { connect, TabmqError } from "tabmq";

import { temporaryFolder } from "./files.mjs";
import { all, events } from "./helpers.mjs";
import { faults, littleModule } from "./panics.mjs";

const assets = { wasm: littleModule() };
const LONG = { timeout: "20s" };
/** Longest that any of the verbs may take, whatever happens to it. */
const SETTLED_MS = 15_000;
/** What a verb may end with that was under way when the instance was replaced. */
const ENDS = new Set(["INTERNAL", "STALE_LEASE"]);

/** What those end with that wait in vain; one of the other verbs takes the message back. */
const WAITS = {
  "call without an answer": ["TIMEOUT"],
  delivered: ["TIMEOUT", "DISCARDED"],
  processed: ["TIMEOUT", "DISCARDED"],
};

async function open(t, folder, name = `panic-${randomUUID()}`) {
  const bus = await connect(name, { storage: folder, assets });
  bus.addEventListener("error", ({ detail }) => assert.equal(detail.code, "INTERNAL"));
  t.after(() => bus.close());
  return bus;
}

/** A bus with something confirmed, something delivered, and a service. */
async function prepare(t, folder) {
  const bus = await open(t, folder);
  const jobs = bus.queue("jobs");
  await jobs.sendBatch([1, 2, 3].map((body) => ({ body })), { durability: "strict" });
  const held = bus.queue("held", { lease: "1m" });
  await held.sendBatch([1, 2, 3, 4, 5, 6].map((body) => ({ body })));
  const deliveries = await held.receive({ max: 6 });
  const tracked = await bus.queue("waiting").send("tracked", { track: true });
  const decided = [await jobs.prepare("commit"), await jobs.prepare("roll back")];
  for (const name of ["paused", "purged", "deleted", "moved"]) await bus.queue(name).send(name);
  await bus.serve("service", { five: () => 5, never: () => new Promise(() => {}) }).ready();
  const file = await bus.admin.export("moved");
  return { bus, jobs, deliveries, tracked, decided, file };
}

/** Each verb that returns a promise, by name. What `confirms` give is stored. */
const confirms = {
  send: ({ jobs }) => jobs.send("send", LONG).then(() => ["send"]),
  "strict send": ({ jobs }) =>
    jobs.send("strict", { durability: "strict", ...LONG }).then(() => ["strict"]),
  sendBatch: ({ jobs }) =>
    jobs.sendBatch([{ body: "one" }, { body: "two" }], LONG).then(() => ["one", "two"]),
  sendAll: ({ jobs }) => jobs.sendAll([{ body: "all" }], LONG).then(() => ["all"]),
  transaction: ({ bus }) =>
    bus.transaction((tx) => void tx.queue("jobs").send("tx"), LONG).then(() => ["tx"]),
  "commit of a prepared one": ({ decided }) => decided[0].commit(LONG).then(() => ["commit"]),
  move: ({ bus }) => bus.admin.move("moved", "jobs", LONG).then(() => ["moved"]),
};
const others = {
  ready: ({ bus }) => bus.ready(LONG),
  flush: ({ bus }) => bus.flush(LONG),
  publish: ({ bus }) => bus.publish("topic", 1, LONG),
  subscribe: ({ bus }) => bus.subscribe("topic").ready(LONG),
  lead: ({ bus }) => new Promise((resolve) => bus.lead("role", () => resolve())),
  call: ({ bus }) => bus.client("service", LONG).five(),
  "call without an answer": ({ bus }) => bus.client("service", { timeout: "300ms" }).never(),
  serve: ({ bus }) => bus.serve("other", { one: () => 1 }).ready(LONG),
  process: ({ bus }) => bus.queue("idle").process(() => {}).ready(LONG),
  receive: ({ bus }) => bus.queue("empty").receive({ timeout: "300ms" }),
  prepare: ({ bus }) => bus.queue("waiting").prepare("new", LONG),
  rollback: ({ decided }) => decided[1].rollback(LONG),
  delivered: ({ tracked }) => tracked.delivered({ timeout: "300ms" }),
  processed: ({ tracked }) => tracked.processed({ timeout: "300ms" }),
  ack: ({ deliveries }) => deliveries[0].ack(undefined, LONG),
  retry: ({ deliveries }) => deliveries[1].retry(LONG),
  nack: ({ deliveries }) => deliveries[2].nack(LONG),
  reject: ({ deliveries }) => deliveries[3].reject("no", LONG),
  release: ({ deliveries }) => deliveries[4].release(LONG),
  extend: ({ deliveries }) => deliveries[5].extend("1m", LONG),
  pause: ({ bus }) => bus.queue("paused").pause(LONG),
  resume: ({ bus }) => bus.queue("paused").resume(LONG),
  purge: ({ bus }) => bus.queue("purged").purge(LONG),
  delete: ({ bus }) => bus.queue("deleted").delete(LONG),
  cancel: ({ bus, tracked }) => bus.queue("waiting").cancel(tracked.id, LONG),
  redrive: ({ jobs }) => jobs.redrive(LONG),
  schedule: ({ bus }) => bus.queue("later").schedule("key", { every: "1h" }, 1, LONG),
  unschedule: ({ bus }) => bus.queue("later").unschedule("key", LONG),
  schedules: ({ bus }) => bus.queue("later").schedules(LONG),
  info: ({ jobs }) => jobs.info(LONG),
  declare: ({ bus }) => bus.queue("new", { maxDeliver: 3 }).ready(LONG),
  browse: ({ jobs }) => all(jobs.browse(LONG)),
  list: ({ bus }) => all(bus.admin.list(undefined, LONG)),
  deleteMessage: ({ bus }) => bus.admin.deleteMessage("purged", 1, LONG),
  policy: ({ bus }) => bus.admin.policy("policy", "none.#", { maxDeliver: 2 }, LONG),
  policies: ({ bus }) => bus.admin.policies(LONG),
  removePolicy: ({ bus }) => bus.admin.removePolicy("policy", LONG),
  trace: ({ bus }) => bus.admin.trace("jobs", true, LONG),
  export: ({ bus }) => bus.admin.export("jobs", LONG),
  import: ({ bus, file }) => bus.admin.import(file, { into: "imported", ...LONG }),
};

/** Starts all verbs at once, and the fault with them; resolves with what came of each. */
async function runAll(context, fault) {
  const verbs = { ...confirms, ...others };
  const started = performance.now();
  const begun = Object.entries(verbs).map(async ([name, verb]) => {
    const [outcome] = await Promise.allSettled([(async () => verb(context))()]);
    return Object.assign(outcome, { name });
  });
  await fault(context);
  const outcomes = await Promise.all(begun);
  const took_ms = performance.now() - started;
  assert.ok(took_ms < SETTLED_MS, `the last one ended after ${took_ms} ms`);
  return outcomes;
}

/** Each end is a documented one, and whatever was confirmed is there. */
async function judge({ bus }, outcomes, replaced, where) {
  for (const { name, status, reason } of outcomes) {
    if (status === "fulfilled") continue;
    const told = `${where}: ${name}: ${reason?.stack}`;
    assert.ok(reason instanceof TabmqError, told);
    assert.ok(WAITS[name]?.includes(reason.code) || (replaced && ENDS.has(reason.code)), told);
  }
  const confirmed = [1, 2, 3];
  for (const { name, status, value } of outcomes) {
    if (name in confirms && status === "fulfilled") confirmed.push(...value);
  }
  await bus.ready();
  const found = (await all(bus.queue("jobs").browse())).map(({ body }) => body);
  for (const body of confirmed) assert.ok(found.includes(body), `${where}: ${body} is lost`);
  assert.equal(new Set(found).size, found.length, `${where}: twice: ${found.join()}`);
  return found;
}

test("whenever the core panics, all that waits settles and what was confirmed stays", async (t) => {
  let panics = 0;
  for (let reads = 0, left = false; !left; reads += 1 + (reads >> 1)) {
    const folder = temporaryFolder(t);
    const context = await prepare(t, folder);
    const { bus } = context;
    const instances = faults.instances;
    const outcomes = await runAll(context, () => {
      faults.clock_reads = reads;
    });
    left = faults.clock_reads !== undefined;
    faults.clock_reads = undefined;
    panics += faults.instances - instances;
    await judge(context, outcomes, !left, `at reading ${reads}`);
    await bus.close();
  }
  t.diagnostic(`${panics} panics`);
  assert.ok(panics > 5, `${panics} panics`);
});

test("what an import throws is no trap, and the instance is replaced all the same", async (t) => {
  const { bus } = await prepare(t, temporaryFolder(t));
  const instances = faults.instances;
  const { fail } = faults;
  faults.fail = () => {
    // As a verb gets it that is called at the very end of the stack.
    throw new RangeError("Maximum call stack size exceeded");
  };
  faults.clock_reads = 0;
  const error = await bus.publish("topic", 1).catch((e) => e);
  faults.fail = fail;
  assert.deepEqual([error.code, error.cause.name], ["INTERNAL", "RangeError"]);
  assert.equal((await bus.publish("topic", 2)).at, "device");
  assert.equal(faults.instances, instances + 1);
});

/** Sends until the core got no more memory for one of them; resolves with those confirmed. */
async function sendUntilRefused(bus, body_bytes) {
  const confirmed = [];
  const pad = "x".repeat(body_bytes);
  for (let number = 0; ; number += 1) {
    const sends = Array.from({ length: 100 }, (_, index) => {
      const body = `${number}-${index} ${pad}`;
      return bus.queue("jobs").send(body, LONG).then(() => void confirmed.push(body));
    });
    const failed = (await Promise.allSettled(sends)).find(({ reason }) => reason);
    if (failed) return { confirmed, error: failed.reason };
  }
}

for (const body_bytes of [1000, 100_000]) {
  test(`without memory for ${body_bytes} bytes more the core begins anew`, async (t) => {
    const context = await prepare(t, temporaryFolder(t));
    const { bus } = context;
    const instances = faults.instances;
    faults.takeMemory();
    let sent;
    const outcomes = await runAll(context, async () => {
      sent = await sendUntilRefused(bus, body_bytes);
    });
    assert.equal(sent.error.code, "INTERNAL");
    assert.ok(sent.error.cause instanceof WebAssembly.RuntimeError, String(sent.error.cause));
    t.diagnostic(`${sent.confirmed.length} sends were confirmed before`);
    const found = new Set(await judge(context, outcomes, true, "without memory"));
    assert.equal(faults.instances, instances + 1);
    for (const body of sent.confirmed) assert.ok(found.has(body), `${body.slice(0, 9)} is lost`);
    assert.equal((await bus.publish("topic", 2)).at, "device");
  });
}

test("three panics in a minute end the bus, and nothing that was confirmed is lost", async (t) => {
  const folder = temporaryFolder(t);
  const context = await prepare(t, folder);
  const { bus, jobs } = context;
  const instances = faults.instances;
  const told = events(bus, "error");
  for (let round = 1; round <= 3; round += 1) {
    await jobs.send(`confirmed ${round}`, { durability: "strict" });
    faults.clock_reads = 0;
    const waiting = jobs.send("in doubt", LONG);
    await assert.rejects(waiting, { code: "INTERNAL", maybeExecuted: true });
  }
  const [error] = await told;
  assert.ok(error instanceof TabmqError);
  assert.deepEqual([error.code, bus.status.get()], ["INTERNAL", "closed"]);
  assert.equal(faults.instances, instances + 2, "it was not tried again");
  for (const verb of [() => jobs.send(1), () => bus.ready(), () => bus.publish("topic", 1)])
    await assert.rejects(verb(), { code: "INTERNAL" });
  await bus.close();
  const again = await open(t, folder, bus.name);
  const found = new Set((await all(again.queue("jobs").browse())).map(({ body }) => body));
  for (const body of [1, 2, 3, "confirmed 1", "confirmed 2", "confirmed 3"])
    assert.ok(found.has(body), `${body} is lost`);
});
