import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import { connect, createBus, defineBus, isTabmqError, LIMITS, queue } from "tabmq";

import { connectBus, deferred, events, notAtHub, openBus, runScript, until } from "./helpers.mjs";

test("a bus that nobody uses: does nothing, not even load the wasm module", () => {
  const script = `
    const read = [];
    const { compile } = WebAssembly;
    WebAssembly.compile = (bytes) => (read.push(bytes), compile(bytes));
    const { createBus } = await import("tabmq");
    const bus = createBus("shop");
    bus.topic("a"); bus.queue("b"); bus.client("c"); bus.peers.get(); bus.host.get(); bus.peer;
    bus.addEventListener("status", () => {});
    console.log(bus.status.get(), read.length);`;
  const output = runScript(script);
  assert.equal(output, "idle 0\n");
});

test("a bus that nobody uses: closes, and says so", async (t) => {
  const bus = openBus(t);
  await bus.close();
  assert.equal(bus.status.get(), "closed");
  await assert.rejects(bus.ready(), { code: "CLOSED" });
});

test("connect: is ready, here, inline, in memory", notAtHub("its node is elsewhere"), async (t) => {
  const bus = await connectBus(t);
  assert.equal(bus.status.get(), "ready");
  const host = bus.host.get();
  assert.equal(host.here, true);
  assert.equal(host.kind, "inline");
  assert.equal(host.storage, "memory");
  assert.equal(host.durability, "memory");
  assert.equal(host.evictable, false);
  assert.ok(host.epoch >= 1);
  assert.match(bus.peer.id, /^[\da-f]{32}$/);
  assert.deepEqual(
    bus.peers.get().map(({ id }) => id),
    [bus.peer.id],
  );
});

test("connect: tells its way by status events", async (t) => {
  const bus = openBus(t);
  const seen = [];
  bus.addEventListener("status", ({ detail }) => seen.push(detail));
  const leave = bus.status.subscribe(() => seen.push("watched"));
  await bus.ready();
  leave();
  await bus.close();
  assert.deepEqual(seen, ["watched", "connecting", "watched", "ready", "closed"]);
});

for (const [options, code] of [
  [{ hub: { url: "wss://edge.example/mq", share: [] } }, "INVALID"],
  [{ hub: "edge.example/mq" }, "INVALID"],
  [{ hub: { url: [] } }, "INVALID"],
  [{ hub: { url: "wss://edge.example/mq", tokn: "x" } }, "INVALID"],
  [{ hub: "wss://edge.example/mq", storage: "memory" }, "INVALID"],
  [{ host: "tab" }, "UNSUPPORTED"],
  [{ host: "worker" }, "UNSUPPORTED"],
  [{ host: "shared-worker" }, "UNSUPPORTED"],
  [{ host: "service-worker" }, "INVALID"],
  [{ assets: { worker: 7 } }, "INVALID"],
  [{ storage: 7 }, "INVALID"],
  [{ durability: "very" }, "INVALID"],
  [{ limits: { no_limit: 1 } }, "INVALID"],
  [{ stroage: "memory" }, "INVALID"],
]) {
  test(`connect: rejects ${JSON.stringify(options)} with ${code}`, async () => {
    await assert.rejects(connect(`test-${randomUUID()}`, options), { code });
  });
}

test("connect: rejects a name that is none", async () => {
  await assert.rejects(connect(""), { code: "INVALID" });
  await assert.rejects(connect(5), { code: "INVALID" });
  await assert.rejects(
    connect("n".repeat(LIMITS.name_bytes_max + 1)),
    (error) => isTabmqError(error) && ["INVALID", "TOO_LARGE"].includes(error.code),
  );
});

test("connect: a failed load is told, and the next attempt is a new one", async () => {
  const script = `
    import { readFileSync } from "node:fs";
    import { createBus } from "tabmq";
    const bad = createBus("a", { assets: { wasm: new Uint8Array([1, 2, 3]) } });
    const codes = [];
    const sent = bad.queue("q").send(1).catch((error) => codes.push(error.code));
    await bad.ready().catch((error) => codes.push(error.code));
    await sent;
    codes.push(bad.status.get());
    const good = createBus("b", { assets: { wasm: readFileSync("../dist/tabmq.wasm") } });
    await good.ready();
    codes.push(good.status.get());
    await bad.ready();
    codes.push(bad.status.get());
    await Promise.all([good.close(), bad.close()]);
    console.log(codes.join());`;
  const output = runScript(script);
  assert.equal(output, "UNAVAILABLE,UNAVAILABLE,idle,ready,ready\n");
});

test("one name in one realm: is one client with two users", async (t) => {
  const name = `test-${randomUUID()}`;
  const [one, two] = await Promise.all([connect(name), connect(name)]);
  t.after(() => two.close());
  assert.equal(one.peer.id, two.peer.id);
  const heard = deferred();
  await two.subscribe("t", ({ body }) => heard.resolve(body)).ready();
  await one.close();
  assert.equal(one.status.get(), "closed");
  assert.equal(two.status.get(), "ready");
  await assert.rejects(one.publish("t", 1), { code: "CLOSED" });
  await two.publish("t", 2);
  assert.equal(await heard.promise, 2);
});

test("one name in one realm: closing closes what this user opened and nothing else", async (t) => {
  const name = `test-${randomUUID()}`;
  const [one, two] = await Promise.all([connect(name), connect(name)]);
  t.after(() => two.close());
  const mine = one.subscribe("t");
  const others = two.subscribe("t");
  await one.close();
  assert.equal(mine.closed.aborted, true);
  assert.equal(mine.closed.reason.code, "CLOSED");
  assert.equal(others.closed.aborted, false);
});

test("one name in one realm: opens again after its last user, as another client", async () => {
  const name = `test-${randomUUID()}`;
  const first = await connect(name);
  const { id } = first.peer;
  const closing = first.close();
  const second = await connect(name);
  await closing;
  // A host that only the first one kept is on its way out, and another one follows.
  await second.ready();
  assert.notEqual(second.peer.id, id);
  await second.close();
});

test("one name in one realm: refuses a second user who asks for other options", (t) => {
  const name = `test-${randomUUID()}`;
  const bus = createBus(name, { storage: "memory" });
  t.after(() => bus.close());
  assert.throws(() => createBus(name, { storage: "auto" }), { code: "INVALID" });
  const same = createBus(name);
  t.after(() => same.close());
});

test("one name in one realm: another user is another client", async (t) => {
  const name = `test-${randomUUID()}`;
  const [ada, bob] = await Promise.all([
    connect(name, { user: "ada" }),
    connect(name, { user: "bob" }),
  ]);
  t.after(() => Promise.all([ada.close(), bob.close()]));
  assert.notEqual(ada.peer.id, bob.peer.id);
});

test("waits: end with the signal or the deadline, before the bus is ready as well", async (t) => {
  const bus = openBus(t);
  const controller = new AbortController();
  const sent = bus.queue("q").send(1, { signal: controller.signal });
  controller.abort();
  await assert.rejects(sent, { code: "CANCELLED", name: "AbortError", maybeExecuted: false });
  await assert.rejects(bus.ready({ timeout: "soon" }), { code: "INVALID" });
});

test("waits: end with the deadline, also while nothing can be loaded", () => {
  const output = runScript(`
    import { createBus } from "tabmq";
    const bus = createBus("a", { assets: { wasm: new Promise(() => {}) } });
    const verbs = [
      bus.ready({ timeout: 1 }), bus.publish("t", 1, { timeout: "2ms" }), bus.flush({ timeout: 1 }),
      bus.queue("q", { lease: "3s" }).send(1, { timeout: 1 }),
      bus.call("s", "m", [], { timeout: 1 }),
      bus.subscribe("t").ready({ timeout: 1 }),
    ];
    const settled = await Promise.allSettled(verbs);
    const told = ({ reason }) => [reason.code, reason.name, reason.maybeExecuted].join("/");
    console.log(settled.map(told).join());
    console.log((await bus.queue("q").receive({ timeout: 1 })).length);
    await bus.close();
    console.log(bus.status.get());`);
  const timeouts = Array(6).fill("TIMEOUT/TimeoutError/false").join();
  assert.equal(output, `${timeouts}\n0\nclosed\n`);
});

test("waits: a request that was issued may have happened", async (t) => {
  const bus = await connectBus(t);
  const controller = new AbortController();
  const sent = bus.queue("q").send(1, { signal: controller.signal });
  controller.abort("changed my mind");
  await assert.rejects(sent, {
    code: "CANCELLED",
    maybeExecuted: true,
    cause: "changed my mind",
  });
  await bus.flush();
});

test("waits: verbs before ready wait, in order, at most limits.requests_max of them", async (t) => {
  const bus = openBus(t, { limits: { requests_max: 2 } });
  const codes = await Promise.allSettled([1, 2, 3].map((n) => bus.publish("t", n)));
  assert.deepEqual(
    codes.map(({ reason }) => reason?.code),
    [undefined, undefined, "FULL"],
  );
});

test("waits: more requests than the client may hold wait for the answers of others", async (t) => {
  const bus = await connectBus(t, { limits: { requests_max: 10 } });
  const sent = await Promise.all(
    Array.from({ length: 20 }, (_, index) => bus.queue("q").send(index)),
  );
  assert.equal(sent.length, 20);
  const bodies = [];
  for await (const delivery of bus.queue("q").consume()) {
    bodies.push(delivery.body);
    void delivery.ack();
    if (bodies.length === 20) break;
  }
  assert.deepEqual(
    bodies,
    Array.from({ length: 20 }, (_, index) => index),
  );
});

test("close: settles what is under way", async (t) => {
  const bus = await connectBus(t);
  const call = bus.client("nobody").method();
  const sub = bus.subscribe("t");
  const next = sub[Symbol.asyncIterator]().next();
  await bus.close();
  await assert.rejects(call, (error) => ["CLOSED", "UNAVAILABLE"].includes(error.code));
  assert.deepEqual(await next, { value: undefined, done: true });
  for (const verb of [
    () => bus.publish("t", 1),
    () => bus.queue("q").send(1),
    () => bus.queue("q").receive(),
    () => bus.queue("q").info(),
    () => bus.client("s").m(),
    () => bus.flush(),
    () => bus.ready(),
  ]) {
    await assert.rejects(verb(), { code: "CLOSED" });
  }
  for (const verb of [
    () => bus.subscribe("t"),
    () => bus.serve("s", {}),
    () => bus.lead("r", () => {}),
    () => bus.queue("q").process(() => {}),
    () => bus.peer.update({ name: "x" }),
  ]) {
    assert.throws(verb, { code: "CLOSED" });
  }
  await bus.close();
});

test("close: with drain lets handlers finish and waits for what was asked", async () => {
  const bus = await connect(`test-${randomUUID()}`);
  const started = deferred();
  const gate = deferred();
  const done = [];
  bus.addEventListener("error", ({ detail }) => done.push(detail));
  bus.queue("q").process(async ({ body }) => {
    started.resolve();
    await gate.promise;
    done.push(body);
  });
  await bus.queue("q").send("job");
  await started.promise;
  const late = bus.queue("other").send("late");
  const closing = bus.close({ drain: true });
  gate.resolve();
  await closing;
  assert.deepEqual(done, ["job"]);
  assert.ok((await late).id);
});

test("close: with drain does what was asked before the bus had started", async (t) => {
  const bus = openBus(t);
  const sent = bus.queue("q").send("early");
  await bus.close({ drain: true });
  assert.ok((await sent).id);
  const other = openBus(t);
  const lost = other.queue("q").send("early");
  await other.close();
  await assert.rejects(lost, { code: "CLOSED", maybeExecuted: false });
});

test("close: ends at its deadline though a handler does not", async () => {
  const bus = await connect(`test-${randomUUID()}`);
  const started = deferred();
  bus.queue("q").process(() => {
    started.resolve();
    return new Promise(() => {});
  });
  await bus.queue("q").send(1);
  await started.promise;
  await assert.rejects(bus.close({ drain: true, timeout: 20 }), { code: "TIMEOUT" });
  assert.equal(bus.status.get(), "closed");
});

test("close: is part of await using", async () => {
  const bus = await connect(`test-${randomUUID()}`);
  await bus[Symbol.asyncDispose]();
  assert.equal(bus.status.get(), "closed");
});

test("peers: show name and tags, and their changes", async (t) => {
  const bus = await connectBus(t, { peer: { name: "worker", tags: { page: "cart" } } });
  const own = () => bus.peers.get().find(({ id }) => id === bus.peer.id);
  await until(own);
  const { name, tags } = own();
  assert.equal(name, "worker");
  assert.deepEqual(tags, { page: "cart" });
  const changed = events(bus, "peer");
  bus.peer.update({ tags: { page: "checkout" } });
  const [{ change, peer }] = await changed;
  assert.equal(change, "changed");
  assert.deepEqual(peer, { id: bus.peer.id, name: "worker", tags: { page: "checkout" } });
  assert.deepEqual(bus.peer.tags, { page: "checkout" });
  assert.throws(() => bus.peer.update({ tags: { a: 1 } }), { code: "INVALID" });
});

test("persist: is for pages", async (t) => {
  const bus = openBus(t);
  await assert.rejects(bus.persist(), { code: "UNSUPPORTED", data: { name: "bus.persist" } });
  await assert.rejects(bus.persist({ wait: 1 }), { code: "INVALID" });
  await bus.close();
  await assert.rejects(bus.persist(), { code: "CLOSED" });
});

test("what a later version brings: is refused by its name", async (t) => {
  const bus = openBus(t);
  for (const verb of ["stream", "kv", "exchange", "gather", "attach"]) {
    assert.throws(
      () => bus[verb]("x"),
      (error) => isTabmqError(error, "UNSUPPORTED") && error.data.name === `bus.${verb}`,
    );
  }
  assert.throws(() => bus.client("s").$durable, { code: "UNSUPPORTED" });
  await assert.rejects(bus.publish("t", 1, { retain: true }), { code: "UNSUPPORTED" });
  assert.throws(() => bus.subscribe("t", { durable: "d" }), { code: "UNSUPPORTED" });
  assert.throws(() => bus.queue("q", { schema: {} }), { code: "UNSUPPORTED" });
});

test("defineBus: gives the queues the options of their definition", async (t) => {
  const shop = defineBus({
    queues: { upload: queue({ deadLetter: "graveyard" }), log: queue() },
  });
  const bus = await shop.connect(`test-${randomUUID()}`);
  t.after(() => bus.close());
  assert.equal(bus.queue("upload").deadLetters.name, "graveyard");
  assert.equal(bus.queue("log").deadLetters.name, "log.dead");
});

test("errors: what is refused at once names the verb and what it was asked of", async (t) => {
  const bus = await connectBus(t);
  const large = new Uint8Array(2 << 20);
  for (const [verb, message] of [
    [() => bus.publish("a..b", 1), 'publish "a..b": INVALID (topic)'],
    [() => bus.publish("t", large), 'publish "t": TOO_LARGE (body_bytes_max)'],
    [() => bus.queue("").info(), 'queue "": info: INVALID (name)'],
    [() => bus.client("s").m(large), 'call "s.m": TOO_LARGE (body_bytes_max)'],
  ])
    await assert.rejects(verb(), { message });
});
