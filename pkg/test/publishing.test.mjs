import assert from "node:assert/strict";
import { test } from "node:test";

import { Reject, TabmqError } from "tabmq";

import {
  connectBus,
  deferred,
  events,
  IN_MEMORY,
  inMemory,
  take,
  until,
} from "./helpers.mjs";

const bodies = (deliveries) => deliveries.map(({ body }) => body);

test("dedupe: an id that the queue remembers is confirmed and not stored", async (t) => {
  const bus = await connectBus(t);
  const orders = bus.queue("orders", { dedupe: "2m" });
  const first = await orders.send("a", { id: "order-7" });
  assert.deepEqual([first.duplicate, first.duplicateOf], [false, undefined]);
  const [job] = await orders.receive();
  await job.ack();
  const again = await orders.send("b", { id: "order-7", track: true });
  assert.deepEqual(
    [again.id, again.duplicate, again.duplicateOf, again.stored.durability],
    ["order-7", true, job.number, IN_MEMORY ? "memory" : "relaxed"],
  );
  await orders.send("c");
  await orders.send("c");
  assert.equal((await orders.info()).sentTotal, 3);
  await assert.rejects(again.processed(), { code: "NOT_FOUND" });
});

test("dedupe: a duplicate of a tracked message hears what becomes of the first", async (t) => {
  const bus = await connectBus(t);
  const orders = bus.queue("orders", { dedupe: "2m" });
  await orders.send(1, { id: "x", track: true });
  const again = await orders.send(1, { id: "x", track: true });
  orders.process(() => "done");
  assert.equal(await again.processed(), "done");
});

test("dedupe: a batch tells of each item, and a window of 0 remembers nothing", async (t) => {
  const bus = await connectBus(t);
  const orders = bus.queue("orders", { dedupe: "2m", maxLength: 3 });
  await orders.send(1, { id: "a" });
  const receipts = await orders.sendBatch([
    { body: 2, id: "b" },
    { body: 3, id: "a" },
    { body: 4, id: "b" },
    { body: 5 },
  ]);
  assert.deepEqual(
    receipts.map(({ duplicate }) => duplicate),
    [false, true, true, false],
  );
  await assert.rejects(orders.sendBatch([{ body: 6, id: "a" }, { body: 7 }]), { code: "FULL" });
  assert.deepEqual(bodies(await take(orders.consume({ prefetch: 3 }), 3)), [1, 2, 5]);
  const plain = bus.queue("plain", { dedupe: false });
  for (const body of [1, 2]) assert.ok(!(await plain.send(body, { id: "a" })).duplicate);
});

test("dedupe: what is no window or no id is refused and changes nothing", async (t) => {
  const bus = await connectBus(t);
  assert.throws(() => bus.queue("q", { dedupe: -1 }), { code: "INVALID" });
  assert.throws(() => bus.queue("q", { dedupe: true }), { code: "INVALID" });
  assert.throws(() => bus.queue("q", { dedupe: Infinity }), { code: "INVALID" });
  const orders = bus.queue("orders", { dedupe: "2m" });
  const long = orders.send(1, { id: "x".repeat(256) });
  await assert.rejects(long, { code: "TOO_LARGE", data: { reason: "id" } });
  assert.equal((await orders.info()).sentTotal, 0);
});

test("receipts: promise the level that was asked for and no more than the host has", {
  ...inMemory,
}, async (t) => {
  const bus = await connectBus(t, { durability: "relaxed" });
  const level = async (queue, options) => (await queue.send(1, options)).stored.durability;
  assert.equal(await level(bus.queue("q")), "memory");
  assert.equal(await level(bus.queue("q"), { durability: "memory" }), "memory");
  assert.equal(await level(bus.queue("m", { durability: "memory" })), "memory");
  for (const durability of ["relaxed", "strict"]) {
    const refused = bus.queue("q").send(1, { durability });
    await assert.rejects(refused, { code: "UNSUPPORTED", data: { reason: "durability" } });
  }
});

test("sends: settle in the order in which they were asked for", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { maxLength: 3 });
  await jobs.send("declared by now");
  const settled = [];
  const note = (name) => [() => settled.push(name), ({ code }) => settled.push(`${name} ${code}`)];
  const sends = [
    jobs.send(0),
    jobs.sendBatch([{ body: 3 }, { body: 4 }, { body: 5 }, { body: 6 }]),
    jobs.send(2),
    bus.queue("other").send(3, { durability: "strict" }),
    bus.queue("third").send(new Blob(["takes time"])),
    bus.queue("third").send(5, { delay: "1h" }),
  ];
  await Promise.all(sends.map((sent, index) => sent.then(...note(index))));
  assert.deepEqual(settled, [0, "1 FULL", "2 FULL", IN_MEMORY ? "3 UNSUPPORTED" : 3, 4, 5]);
});

test("batches: a bad item is named by its index and nothing is stored", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const refused = async (item, expected) => {
    await assert.rejects(jobs.sendBatch([{ body: 1 }, item]), (error) => {
      assert.equal(error.code, expected.code);
      assert.match(error.message, /items\[1\]/);
      if (expected.path) assert.equal(error.data.path, expected.path);
      return true;
    });
  };
  await refused({ body: 1, delay: -1 }, { code: "INVALID" });
  await refused({ body: 1, colour: "red" }, { code: "INVALID" });
  await refused({ body: 1, durability: "strict" }, { code: "INVALID" });
  await refused(7, { code: "INVALID" });
  await refused({ body: () => {} }, { code: "UNENCODABLE", path: "items[1].body" });
  const long = new Uint8Array(2 << 20);
  await refused({ body: long }, { code: "TOO_LARGE", path: "items[1].body" });
  const headers = { text: "x".repeat(20_000) };
  await refused({ body: 1, headers }, { code: "TOO_LARGE", path: "items[1].headers" });
  await jobs.send("good");
  assert.equal((await jobs.info()).sentTotal, 1);
});

test("sendAll: stores everything in order and counts it", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { dedupe: "1m" });
  async function* items() {
    for (let body = 0; body < 1000; body += 1) yield { body, id: `id-${body % 900}` };
  }
  const counts = await jobs.sendAll(items(), { batch: 64, linger: "1m" });
  assert.deepEqual(
    [counts.stored, counts.duplicates, counts.batches, counts.underWay],
    [900, 100, 16, 0],
  );
  const got = await take(jobs.consume({ prefetch: 1000 }), 900);
  assert.deepEqual(
    bodies(got),
    Array.from({ length: 900 }, (_, index) => index),
  );
  const nothing = await jobs.sendAll([]);
  assert.deepEqual([nothing.stored, nothing.batches], [0, 0]);
});

test("sendAll: stops at what is refused and says how much is stored", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { maxLength: 250 });
  let taken = 0;
  function* items() {
    for (let body = 0; body < 100_000; body += 1) {
      taken += 1;
      yield { body };
    }
  }
  await assert.rejects(jobs.sendAll(items(), { linger: "1m" }), {
    code: "FULL",
    data: { reason: "messages_max", stored: 200 },
  });
  assert.ok(taken < 100_000);
  assert.equal((await jobs.info()).ready, 200);
  await assert.rejects(jobs.sendAll([{ body: 1, colour: "red" }]), { code: "INVALID" });
  await assert.rejects(jobs.sendAll([7]), { code: "INVALID" });
  await assert.rejects(jobs.sendAll(7), { code: "INVALID" });
  await assert.rejects(jobs.sendAll([], { batch: 0 }), { code: "INVALID" });
  const controller = new AbortController();
  const endless = (function* () {
    for (;;) yield { body: 1 };
  })();
  const ring = bus.queue("ring", { maxLength: 10, overflow: "drop-oldest" });
  const sent = ring.sendAll(endless, { signal: controller.signal });
  await until(async () => (await ring.info()).ready > 0);
  controller.abort();
  await assert.rejects(sent, { code: "CANCELLED" });
});

test("writable: takes what is piped into it and tells how far it is", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const sink = jobs.writable({ batch: 256, linger: "1m" });
  const windows = new Set();
  sink.progress.subscribe(({ window }) => windows.add(window));
  let body = 0;
  const source = new ReadableStream({
    pull(controller) {
      if (body < 3000) controller.enqueue({ body: (body += 1) });
      else controller.close();
    },
  });
  await source.pipeTo(sink);
  const { stored, batches, underWay, window } = sink.progress.get();
  assert.deepEqual([stored, batches, underWay], [3000, 12, 0]);
  assert.ok(window > 256, "what is stored at once lets more be under way");
  assert.ok(windows.size > 1);
  const half = jobs.writable({ linger: 0 }).getWriter();
  await half.write({ body: "alone" });
  await until(async () => (await jobs.info()).ready === 3001);
  await half.abort();
  assert.throws(() => jobs.writable({ linger: "soon" }), { code: "INVALID" });
});

test("sender: messages, deliveries and calls tell the peer they come from", async (t) => {
  const bus = await connectBus(t);
  const heard = deferred();
  bus.subscribe("a", heard.resolve);
  await bus.publish("a", 1, { headers: { sender: "forged" } });
  const message = await heard.promise;
  assert.deepEqual([message.sender, message.publisher], [bus.peer.id, bus.peer.id]);
  await bus.queue("q").send(1, { headers: { sender: "forged" } });
  for await (const looked of bus.queue("q").browse()) assert.equal(looked.sender, bus.peer.id);
  const [job] = await bus.queue("q").receive();
  assert.equal(job.sender, bus.peer.id);
  await job.reject();
  assert.equal((await bus.queue("q").deadLetters.receive())[0].sender, bus.peer.id);
});

test("use: interceptors change what leaves and what comes, in their order", async (t) => {
  const bus = await connectBus(t);
  const log = [];
  const named = (name, wait) => ({
    async outgoing(message) {
      if (wait) await wait;
      log.push(`${name} ${message.kind}`);
      if (message.kind !== "call") message.headers[name] = true;
      else message.parameters = [...message.parameters, name];
    },
    incoming(message) {
      log.push(`${name} in ${message.kind}`);
      if (message.kind === "call") assert.equal(message.sender, bus.peer.id);
      else message.body = `${name}(${message.body})`;
    },
  });
  const one = bus.use(named("one"));
  bus.use(named("two", Promise.resolve()));
  const heard = deferred();
  bus.subscribe("a", heard.resolve);
  await bus.publish("a", "x");
  const message = await heard.promise;
  assert.deepEqual([message.body, message.headers], ["one(two(x))", { one: true, two: true }]);
  await bus.queue("q").send("y");
  const [job] = await bus.queue("q").receive();
  assert.deepEqual([job.body, job.headers], ["one(two(y))", { one: true, two: true }]);
  await job.ack();
  bus.serve("s", { list: (...parameters) => parameters });
  assert.deepEqual(await bus.call("s", "list", [1]), [1, "one", "two"]);
  const kinds = (kind) => [`one ${kind}`, `two ${kind}`];
  assert.deepEqual(log, [
    ...kinds("publish"),
    "two in message",
    "one in message",
    ...kinds("send"),
    "two in delivery",
    "one in delivery",
    ...kinds("call"),
    "two in call",
    "one in call",
  ]);
  one[Symbol.dispose]();
  await bus.queue("q").sendBatch([{ body: "z", headers: { own: 1 } }]);
  const [batched] = await bus.queue("q").receive();
  assert.deepEqual([batched.body, batched.headers], ["two(z)", { own: 1, two: true }]);
});

test("use: one that takes time keeps the order of what leaves and what comes", async (t) => {
  const bus = await connectBus(t);
  const slow = { outgoing: ({ body }) => until(() => body !== 1 || turns++ > 5), incoming: later };
  let turns = 0;
  async function later({ body }) {
    for (let turn = body === 1 ? 20 : 1; turn > 0; turn -= 1) await Promise.resolve();
  }
  bus.use(slow);
  const [handled, processed, iterated] = [[], [], []];
  bus.subscribe("a", ({ body }) => handled.push(body));
  const subscription = bus.subscribe("a");
  const done = (async () => {
    for await (const { body } of subscription) {
      iterated.push(body);
      if (body === 3) break;
    }
  })();
  const consumer = bus.queue("q").process({ concurrency: 3 }, ({ body }) => {
    processed.push(body);
  });
  await consumer.ready();
  for (const body of [1, 2, 3]) {
    void bus.publish("a", body);
    void bus.queue("q").send(body);
  }
  await done;
  await until(() => handled.length === 3 && processed.length === 3);
  assert.deepEqual([handled, processed, iterated], [[1, 2, 3], [1, 2, 3], [1, 2, 3]]);
});

test("use: what an interceptor refuses is not sent, and the error names it", async (t) => {
  const bus = await connectBus(t);
  const guard = {
    name: "guard",
    outgoing(message) {
      if (message.body === "secret") throw new Error("no secrets");
      if (message.kind === "call") throw new TabmqError("NOT_AUTHORIZED", "no calls");
      if (message.body === "bad header") message.headers.list = [];
    },
  };
  bus.use(guard);
  const refused = (error) => {
    assert.equal(error.code, "INVALID");
    assert.deepEqual(error.data, { reason: "interceptor", name: "guard" });
    assert.match(error.message, /"guard" refused .*no secrets/);
    assert.equal(error.cause.message, "no secrets");
    return true;
  };
  const jobs = bus.queue("q");
  await assert.rejects(jobs.send("secret"), refused);
  await assert.rejects(jobs.sendBatch([{ body: 1 }, { body: "secret" }]), refused);
  await assert.rejects(bus.publish("a", "secret"), refused);
  await assert.rejects(bus.call("s", "m", []), { code: "NOT_AUTHORIZED" });
  await assert.rejects(jobs.send("bad header"), { code: "INVALID" });
  await jobs.send("good");
  assert.equal((await jobs.info()).sentTotal, 1);
  for (const bad of [undefined, 7, {}, { outgoing: 1 }])
    assert.throws(() => bus.use(bad), { code: "INVALID" });
});

test("use: what is refused on its way in fails as if its handler had thrown", async (t) => {
  const bus = await connectBus(t);
  bus.use({
    name: "guard",
    incoming(message) {
      if (message.kind === "delivery") throw new Reject("not for me");
      throw new Error("nor this");
    },
  });
  const jobs = bus.queue("q");
  const seen = [];
  jobs.process(({ body }) => seen.push(body));
  bus.subscribe("a", ({ body }) => seen.push(body));
  bus.serve("s", { m: () => seen.push("call") });
  const errors = events(bus, "error");
  await bus.publish("a", 1);
  assert.match((await errors)[0].message, /guard/);
  await assert.rejects(bus.call("s", "m", []), { name: "TabmqError", code: "INVALID" });
  await jobs.send(1);
  await until(async () => (await jobs.info()).deadLetteredTotal === 1);
  for await (const dead of jobs.deadLetters.browse()) assert.equal(dead.deadReason, "not for me");
  assert.deepEqual(seen, []);
});

test("transactions: interceptors see what is staged, and duplicates are told", async (t) => {
  const bus = await connectBus(t);
  const orders = bus.queue("orders", { dedupe: "2m" });
  await orders.send(1, { id: "a" });
  bus.use({
    outgoing(message) {
      if (message.body === "secret") throw new Error("no secrets");
      message.headers.seen = true;
    },
  });
  const staged = await bus.transaction((tx) => [
    tx.queue("log").send("b", { id: "a" }),
    ...tx.queue("orders").sendBatch([{ body: 2, id: "a" }, { body: 3 }]),
  ]);
  assert.deepEqual(
    staged.map((message) => message.receipt().duplicate),
    [false, true, false],
  );
  const [one, three] = await take(orders.consume({ prefetch: 2 }), 2);
  assert.deepEqual([one.headers, three.body, three.headers], [{}, 3, { seen: true }]);
  const refused = bus.transaction((tx) => {
    tx.queue("log").send("c");
    tx.queue("log").send("secret");
  });
  await assert.rejects(refused, { code: "INVALID", data: { reason: "interceptor", name: "" } });
  assert.equal((await bus.queue("log").info()).ready, 1);
});
