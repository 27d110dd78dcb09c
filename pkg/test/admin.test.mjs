import assert from "node:assert/strict";
import { test } from "node:test";

import { encode } from "cborg";

import { all, connectBus, openBus, take, until } from "./helpers.mjs";

/** The first state of a queue that fits. */
function shown(stats, fits) {
  return new Promise((resolve) => {
    const stop = stats.subscribe((value) => {
      if (!fits(value)) return;
      stop();
      resolve(value);
    });
  });
}

test("admin: list names every queue with its options, counts and owner", async (t) => {
  const bus = await connectBus(t);
  const options = {
    lease: 5000,
    maxDeliver: 3,
    backoff: { kind: "linear", first: 10, step: 20, max: 500, jitter: 0.1 },
    deadLetter: "graves",
    maxLength: 10,
    maxBytes: 1000,
    overflow: "drop-oldest",
    version: 2,
    singleActive: true,
    exclusive: true,
    autoDelete: 60_000,
    waitForConsumers: 2,
    waitForConsumersMax: 700,
    keepResults: 900,
    ttl: 60_000,
    expired: "late",
    order: "key",
    onFailure: "reorder",
    priorities: 4,
  };
  await bus.admin.declare("own.1", options);
  await bus.queue("own.2", { deadLetter: false, backoff: [10, 20] }).send("four");
  await bus.queue("other").send(1);
  await bus.admin.pause("other", { for: "1h" });
  const listed = await all(bus.admin.list());
  assert.deepEqual(
    listed.map(({ name }) => name),
    ["other", "own.1", "own.2"],
  );
  const [other, one, two] = listed;
  assert.deepEqual(one.options, options);
  assert.equal(one.owner, bus.peer.id);
  assert.deepEqual(two.options, {
    deadLetter: false,
    backoff: { kind: "ladder", waits: [10, 20], max: 20, jitter: 0 },
  });
  assert.equal((await bus.admin.declare("own.2", two.options)).ready, 1);
  assert.deepEqual([two.ready, two.bytes, two.owner, two.traced], [1, 5, undefined, false]);
  assert.ok(other.paused && other.pausedUntil > new Date());
  assert.deepEqual(
    (await all(bus.admin.list("own.*"))).map(({ name }) => name),
    ["own.1", "own.2"],
  );
  await assert.rejects(all(bus.admin.list("a..b")), { code: "INVALID" });
  await assert.rejects(all(bus.admin.list(5)), { code: "INVALID" });
});

test("admin: does by name what queues do", async (t) => {
  const bus = await connectBus(t);
  const { admin } = bus;
  const jobs = bus.queue("jobs");
  await jobs.sendBatch([1, 2, 3].map((body) => ({ body })));
  assert.deepEqual(
    (await all(admin.peek("jobs", { limit: 2 }))).map(({ body }) => body),
    [1, 2],
  );
  for (const job of await jobs.receive({ max: 2 })) await job.reject("no");
  assert.equal(await admin.redrive("jobs"), 2);
  assert.equal((await admin.info("jobs")).ready, 3);
  await admin.pause("jobs");
  assert.equal((await admin.info("jobs")).paused, true);
  await admin.resume("jobs");
  assert.equal(await admin.purge("jobs"), 3);
  assert.equal(await admin.delete("jobs"), 0);
  await assert.rejects(admin.info("jobs"), { code: "NOT_FOUND" });
});

test("admin.move: moves what is meant, in order, with delays and receipts", async (t) => {
  const bus = await connectBus(t);
  const { admin } = bus;
  const from = bus.queue("from");
  const into = bus.queue("into");
  await into.ready();
  const [first] = await from.sendBatch([
    { body: 1, headers: { kind: "a" }, track: true },
    { body: 2 },
    { body: 3, headers: { kind: "a" } },
    { body: 4, delay: "1h" },
  ]);
  assert.equal(await admin.move("from", "into", { where: { headers: { kind: "a" } } }), 2);
  const [moved, second] = await into.receive({ max: 2 });
  assert.deepEqual([moved.body, second.body, moved.attempt], [1, 3, 1]);
  await moved.ack("done");
  assert.equal(await first.processed(), "done");
  assert.equal(await admin.move("from", "into", { max: 1 }), 1);
  assert.equal(await admin.move("from", "into"), 1);
  const { ready, delayed } = await into.info();
  assert.deepEqual([ready, delayed], [1, 1]);
  await assert.rejects(admin.move("from", "nowhere"), { code: "NOT_FOUND" });
  await assert.rejects(admin.move("from", "from"), { code: "INVALID" });
  await assert.rejects(admin.move("from", "into", { where: { numbers: "1" } }), {
    code: "INVALID",
  });
});

test("admin.deleteMessage: discards one, by id or number, and its producer hears", async (t) => {
  const bus = await connectBus(t);
  const { admin } = bus;
  const jobs = bus.queue("jobs");
  const [plain, named] = await jobs.sendBatch([
    { body: 1, track: true },
    { body: 2, id: "order-7", track: true },
    { body: 3 },
  ]);
  assert.equal(await admin.deleteMessage("jobs", plain.id), true);
  assert.equal(await admin.deleteMessage("jobs", "order-7"), true);
  assert.equal(await admin.deleteMessage("jobs", "order-7"), false);
  for (const receipt of [plain, named]) {
    await assert.rejects(receipt.processed(), {
      code: "DISCARDED",
      data: { reason: "removed" },
    });
  }
  const [left] = await all(admin.peek("jobs"));
  const [held] = await jobs.receive();
  assert.equal(await admin.deleteMessage("jobs", left.number), false);
  await held.release();
  assert.equal(await admin.deleteMessage("jobs", left.number), true);
  for (const message of ["", 0, 1.5, undefined])
    await assert.rejects(admin.deleteMessage("jobs", message), { code: "INVALID" });
  await assert.rejects(admin.deleteMessage("nowhere", "x"), { code: "NOT_FOUND" });
});

test("stats: tell what a queue holds, and are asked for while somebody looks", async (t) => {
  const bus = await connectBus(t);
  // A bus at rest keeps no process, nor do looks at its rates.
  const stay = setInterval(() => {}, 60_000);
  t.after(() => clearInterval(stay));
  const { stats } = bus.queue("jobs");
  const none = stats.get();
  assert.equal(none, bus.queue("jobs").stats.get());
  assert.deepEqual([none.exists, none.ready, none.sentPerSecond], [false, 0, 0]);
  const jobs = bus.queue("jobs");
  const ready = shown(stats, ({ ready: count }) => count === 3);
  await jobs.sendBatch([1, 2, 3].map((body) => ({ body })));
  const seen = await ready;
  assert.deepEqual([seen.exists, seen.sentTotal, seen.bytes], [true, 3, 3]);
  assert.ok(Math.abs(seen.oldestAt - Date.now()) < 60_000);
  assert.equal(stats.get().exists, false, "nobody looks any more");

  const leased = shown(stats, (now) => now.leased === 2 && now.sentPerSecond === 0);
  const held = await jobs.receive({ max: 2 });
  const both = await leased;
  assert.equal(both.ready, 1);
  const working = shown(bus.admin.stats("jobs"), ({ ackedPerSecond }) => ackedPerSecond > 0);
  const calm = shown(stats, (now) => now.ackedTotal === 2 && !now.ackedPerSecond);
  await new Promise((resolve) => {
    const stop = stats.subscribe(() => {
      stop();
      resolve();
    });
  });
  for (const job of held) await job.ack();
  await working;
  assert.equal((await calm).leased, 0);
});

test("stats: keep their snapshot until something changes, and end with the bus", async (t) => {
  const bus = openBus(t);
  const { stats } = bus.queue("jobs");
  const seen = [];
  const stop = stats.subscribe((value) => seen.push(value));
  await until(() => seen.length);
  assert.equal(stats.get(), seen[0]);
  assert.equal(seen[0].exists, false);
  assert.equal(bus.queue("jobs").stats.get(), seen[0], "all references share it");
  await bus.queue("jobs", { maxLength: 3 }).ready();
  await until(() => stats.get().exists);
  assert.equal(stats.get(), stats.get());
  await bus.queue("jobs").delete();
  await until(() => !stats.get().exists);
  await bus.queue("jobs").send(1);
  await until(() => stats.get().exists);
  const snapshot = stats.get();
  stop();
  stop();
  const again = stats.subscribe(() => {});
  assert.equal(stats.get(), snapshot, "who comes back at once keeps it");
  await Promise.resolve();
  assert.equal(stats.get(), snapshot);
  again();
  await bus.close();
  assert.throws(() => stats.subscribe(() => {}), { code: "CLOSED" });
});

test("stats: of a queue without a name are refused", async (t) => {
  const bus = await connectBus(t);
  const reported = new Promise((resolve) => {
    bus.addEventListener("error", ({ detail }) => resolve(detail));
  });
  bus.queue("").stats.subscribe(() => {});
  assert.equal((await reported).code, "INVALID");
});

test("policy: gives options to queues by their names, and info says so", async (t) => {
  const bus = await connectBus(t);
  const { admin } = bus;
  await bus.queue("log.eu").send(0);
  const ring = { maxLength: 2, overflow: "drop-oldest" };
  assert.equal(await admin.policy("rings", "log.#", ring), 1);
  const eu = bus.queue("log.eu");
  await eu.sendBatch([1, 2, 3].map((body) => ({ body })));
  const info = await eu.info();
  assert.deepEqual([info.ready, info.discardedTotal, info.policy], [2, 2, "rings"]);
  const own = bus.queue("log.own", { maxLength: 9 });
  assert.equal((await own.ready()).policy, "rings");
  await own.sendBatch([1, 2, 3].map((body) => ({ body })));
  assert.equal((await own.info()).ready, 3);
  assert.equal(await admin.policy("short", "*.us", { lease: "1s" }, { priority: 2 }), 0);
  assert.deepEqual(await admin.policies(), [
    { name: "rings", pattern: "log.#", priority: 0, options: ring },
    { name: "short", pattern: "*.us", priority: 2, options: { lease: 1000 } },
  ]);
  const [listed] = await all(admin.list("log.eu"));
  assert.deepEqual([listed.policy, listed.options], ["rings", {}]);
  await admin.removePolicy("rings");
  assert.equal((await eu.info()).policy, undefined);
  assert.equal((await admin.policies()).length, 1);
  const wrong = { code: "INVALID" };
  await assert.rejects(admin.policy("p", "a", { deadLetter: false }), wrong);
  await assert.rejects(admin.policy("p", "a", { exclusive: true }), wrong);
  await assert.rejects(admin.policy("p", "a", { unknown: 1 }), wrong);
  await assert.rejects(admin.policy("p", "a..b", {}), wrong);
  await assert.rejects(admin.policy("", "a", {}), wrong);
  await assert.rejects(admin.policy("p", 5, {}), wrong);
  await assert.rejects(admin.policy("p", "a", {}, { priority: 2 ** 32 }), wrong);
});

const TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

test("traceparent: goes from end to end, and is refused if it is none", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs");
  const heard = take(bus.subscribe("told"), 1);
  await bus.publish("told", 1, { traceparent: TRACEPARENT });
  assert.equal((await heard)[0].traceparent, TRACEPARENT);
  await jobs.send(1, { traceparent: TRACEPARENT });
  const [job] = await jobs.receive();
  assert.equal(job.traceparent, TRACEPARENT);
  await job.reject();
  const [dead] = await jobs.deadLetters.receive();
  assert.equal(dead.traceparent, TRACEPARENT);
  const later = `cc${TRACEPARENT.slice(2)}-what-comes`;
  await jobs.send(1, { traceparent: later });
  for (const traceparent of [
    "",
    "x",
    TRACEPARENT.toUpperCase(),
    TRACEPARENT.slice(0, -1),
    `${TRACEPARENT}-more`,
    `ff${TRACEPARENT.slice(2)}`,
    TRACEPARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0".repeat(32)),
    TRACEPARENT.replace("00f067aa0ba902b7", "0".repeat(16)),
  ]) {
    await assert.rejects(jobs.send(1, { traceparent }), { code: "INVALID" }, traceparent);
    await assert.rejects(bus.publish("told", 1, { traceparent }), { code: "INVALID" });
    const items = [{ body: 1, traceparent }];
    await assert.rejects(jobs.sendBatch(items), { code: "INVALID" });
  }
});

test("trace: tells of each message as it is sent, delivered and settled", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs");
  await assert.rejects(bus.admin.trace("jobs", true), { code: "NOT_FOUND" });
  await jobs.ready();
  await bus.admin.trace("jobs", true);
  const subscription = bus.subscribe("$tabmq.trace.#");
  await subscription.ready();
  const told = take(subscription, 3);
  const { id } = await jobs.send(1, { traceparent: TRACEPARENT });
  const [job] = await jobs.receive();
  await job.ack();
  const events = await told;
  assert.deepEqual(
    events.map(({ topic }) => topic),
    ["sent", "delivered", "settled"].map((word) => `$tabmq.trace.${word}.jobs`),
  );
  for (const { body } of events) {
    assert.deepEqual([body.id, body.traceparent, body.number], [id, TRACEPARENT, job.number]);
    assert.ok(body.at instanceof Date);
  }
  assert.equal(events[1].body.client, bus.peer.id);
  assert.equal(events[2].body.end, "acked");
  await assert.rejects(bus.admin.trace("jobs", "yes"), { code: "INVALID" });
});

/** A queue with something of every kind in it. */
async function furnished(bus) {
  const jobs = bus.queue("jobs", { maxLength: 500, backoff: ["1h"], deadLetter: "graves" });
  await jobs.send({ n: 1 }, { id: "order-7", headers: { shop: 1 }, traceparent: TRACEPARENT });
  const [failed] = await jobs.receive();
  await failed.retry();
  await jobs.sendBatch(Array.from({ length: 250 }, (_, n) => ({ body: { n: n + 2 } })));
  await jobs.send(new Map([["late", 5n]]), { delay: "2h" });
  await jobs.receive({ max: 3 });
  return jobs;
}

const LOOK = { delayed: true, leased: true };
const told = ({ id, body, headers, attempts, storedAt, dueAt, deaths, traceparent }) => {
  const late = dueAt && Math.round(dueAt / 1000 / 60);
  return { id, body, headers, attempts, storedAt, late, deaths, traceparent };
};

test("export and import: a queue becomes a file and the file a queue", async (t) => {
  const from = await connectBus(t);
  const jobs = await furnished(from);
  const before = (await all(jobs.browse(LOOK))).map(told);
  assert.equal(before.length, 252);
  const file = await from.admin.export("jobs");
  const into = await connectBus(t);
  const progress = [];
  const onProgress = (step) => progress.push(step);
  assert.equal(await into.admin.import(file, { onProgress }), 252);
  assert.deepEqual(progress.at(-1), { messages: 252, total: 252 });
  assert.ok(progress.length > 1);
  const after = (await all(into.queue("jobs").browse(LOOK))).map(told);
  assert.deepEqual(after, before);
  const [listed] = await all(into.admin.list("jobs"));
  const [original] = await all(from.admin.list("jobs"));
  assert.deepEqual(listed.options, original.options);
  const [second] = await into.queue("jobs").receive();
  assert.deepEqual([second.body, second.attempt], [{ n: 2 }, 1]);
});

test("export and import: dead letters stay dead letters, in another queue as well", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("jobs");
  await jobs.send("x");
  const [job] = await jobs.receive();
  await job.reject("no");
  const file = await bus.admin.export("jobs.dead");
  await jobs.deadLetters.purge();
  assert.equal(await bus.admin.import(file, { into: "clinic.dead" }), 1);
  const [dead] = await bus.queue("clinic.dead").receive();
  assert.deepEqual([dead.deadReason, dead.deaths], ["no", (await deathsOf(file, t)).deaths]);
  await dead.release();
  assert.equal(await bus.queue("jobs").redrive(), 0);
  assert.equal(await bus.admin.import(await bus.admin.export("jobs"), { into: "none" }), 0);
});

async function deathsOf(file, t) {
  const bus = await connectBus(t);
  await bus.admin.import(file);
  const [dead] = await all(bus.queue("jobs.dead").browse());
  return dead;
}

test("import: a damaged file changes nothing", async (t) => {
  const from = await connectBus(t);
  await furnished(from);
  const bytes = new Uint8Array(await (await from.admin.export("jobs")).arrayBuffer());
  const bus = await connectBus(t);
  const damaged = [new Blob([]), new Blob(["hello"]), new Blob([bytes, "x"])];
  for (let cut = 1; cut < bytes.length; cut += 997) damaged.push(new Blob([bytes.slice(0, cut)]));
  for (let at = 0; at < bytes.length; at += 499) {
    const flipped = bytes.slice();
    flipped[at] ^= 1;
    damaged.push(new Blob([flipped]));
  }
  for (const file of damaged) {
    await assert.rejects(bus.admin.import(file), { code: "INVALID", data: { reason: "file" } });
  }
  assert.deepEqual(await all(bus.admin.list()), []);
  await assert.rejects(bus.admin.import("file"), { code: "INVALID" });
  await assert.rejects(bus.admin.import(new Blob([bytes]), { into: "" }), { code: "INVALID" });
  await assert.rejects(from.admin.export("nowhere"), { code: "NOT_FOUND" });
});

/** A file of one message, with the hashes that it should have. */
async function fileOf(header, message) {
  const sha256 = async (...parts) =>
    new Uint8Array(await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer()));
  const length = (bytes) => new Uint8Array(new Uint32Array([bytes.length]).buffer).reverse();
  const parts = ["tabmq-queue\0\0\x01"];
  let hash = new Uint8Array(32);
  for (const value of [header, [message]]) {
    const block = encode(value);
    hash = await sha256(hash, block);
    parts.push(length(block), block);
  }
  return new Blob([...parts, new Uint8Array(4), hash]);
}

test("import: a file that is whole and says what can't be is refused as well", async (t) => {
  const bus = await connectBus(t);
  const header = { queue: "jobs", options: {}, exportedAt: 0 };
  const body = encode("x");
  const right = ["1-1-0", null, body, 5, null, 0, null];
  assert.equal(await bus.admin.import(await fileOf(header, right), { into: "right" }), 1);
  const wrong = [
    [{ ...header, queue: 5 }, right],
    [{ ...header, options: { lease: "soon" } }, right],
    [5, right],
    [header, 5],
    [header, [1, ...right.slice(1)]],
    [header, right.with(1, encode("x"))],
    [header, right.with(1, encode([5]))],
    [header, right.with(1, encode([null, encode(5)]))],
    [header, right.with(1, new Uint8Array([0xff]))],
    [header, right.with(2, "x")],
    [header, right.with(3, -1)],
    [header, right.with(4, "x")],
    [header, right.with(5, 1.5)],
    [header, right.with(6, encode([1, 5]))],
    [header, [...right, "soon"]],
  ];
  for (const [head, message] of wrong) {
    const refused = { code: "INVALID", data: { reason: "file" } };
    await assert.rejects(bus.admin.import(await fileOf(head, message)), refused);
  }
  const names = (await all(bus.admin.list())).map(({ name }) => name);
  assert.deepEqual(names, ["right"]);
});

test("import: tells how far it came if a batch is refused", async (t) => {
  const from = await connectBus(t);
  await furnished(from);
  const file = await from.admin.export("jobs");
  const bus = await connectBus(t);
  await bus.queue("small", { maxLength: 150 }).ready();
  const error = await bus.admin.import(file, { into: "small" }).catch((reason) => reason);
  assert.deepEqual([error.code, error.data.imported], ["FULL", 100]);
  assert.equal((await bus.queue("small").info()).sentTotal, 100);
});
