import assert from "node:assert/strict";
import { test } from "node:test";

import { LIMITS } from "tabmq";

import { connectBus, deferred, events, openBus, take } from "./helpers.mjs";
import { cases, refusals, runCases } from "./value-cases.mjs";

test("values over the bus: every case arrives or is refused", async (t) => {
  const bus = await connectBus(t);
  const messages = bus.subscribe("values")[Symbol.asyncIterator]();
  await bus.flush();
  const { count, failures } = await runCases(async (value) => {
    const next = messages.next();
    try {
      await bus.publish("values", value);
    } catch (error) {
      // The wait goes on with the next value.
      pendingNext ??= next;
      throw error;
    }
    const taken = pendingNext ?? next;
    pendingNext = pendingNext ? next : undefined;
    return (await taken).value.body;
  });
  assert.deepEqual(failures, []);
  assert.equal(count, cases.length + refusals.length);
});
let pendingNext;

test("publish: a message carries what its publisher said", async (t) => {
  const bus = await connectBus(t);
  const got = take(bus.subscribe("cart.*"), 1);
  await bus.publish(
    "cart.changed",
    { items: 3 },
    {
      id: "m-1",
      headers: { region: "eu", total: 7, open: true },
      key: "k",
      replyTo: "r",
      correlationId: "c",
      traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    },
  );
  const [message] = await got;
  assert.equal(message.topic, "cart.changed");
  assert.deepEqual(message.body, { items: 3 });
  assert.equal(message.id, "m-1");
  assert.deepEqual(message.headers, { region: "eu", total: 7, open: true });
  assert.equal(message.key, "k");
  assert.equal(message.replyTo, "r");
  assert.equal(message.correlationId, "c");
  assert.equal(message.traceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  assert.equal(message.publisher, bus.peer.id);
});

test("subscribe: every member sees all at its own pace, and nothing is tried again", async (t) => {
  const bus = await connectBus(t);
  const failed = [];
  bus.addEventListener("error", ({ detail }) => failed.push(detail));
  const heard = [];
  const tried = [];
  bus.subscribe("b", ({ body }) => heard.push(body));
  bus.subscribe("b", ({ body }) => {
    tried.push(body);
    if (body === 1) throw new Error("not this one");
  });
  const slow = bus.subscribe("b")[Symbol.asyncIterator]();
  await bus.flush();
  for (const body of [1, 2, 3]) await bus.publish("b", body);
  await bus.flush();
  assert.deepEqual(heard, [1, 2, 3]);
  assert.deepEqual(tried, [1, 2, 3]);
  assert.equal(failed.length, 1);
  for (const body of [1, 2, 3]) assert.equal((await slow.next()).value.body, body);
});

test("publish: messages of one publisher come in order and count up", async (t) => {
  const bus = await connectBus(t);
  const got = take(bus.subscribe("n"), 100);
  for (let n = 0; n < 100; n++) void bus.publish("n", n);
  const messages = await got;
  assert.deepEqual(
    messages.map(({ body }) => body),
    Array.from({ length: 100 }, (_, n) => n),
  );
  const [{ number: first }] = messages;
  assert.deepEqual(
    messages.map(({ number }) => number - first),
    messages.map(({ body }) => body),
  );
});

test("publish: a blob does not let later messages overtake", async (t) => {
  const bus = await connectBus(t);
  const got = take(bus.subscribe("n"), 4);
  for (const body of [1, { blob: new Blob(["x".repeat(100_000)]) }, 2, 3])
    void bus.publish("n", body);
  const bodies = (await got).map(({ body }) => body);
  assert.equal(bodies[1].blob.size, 100_000);
  assert.deepEqual([bodies[0], bodies[2], bodies[3]], [1, 2, 3]);
});

test("publish: filters take what they should", async (t) => {
  const bus = await connectBus(t);
  const seen = { "a.*": [], "a.#": [], "#.c": [], "a.b": [] };
  for (const [filter, list] of Object.entries(seen)) {
    await bus.subscribe(filter, ({ topic }) => list.push(topic)).ready();
  }
  for (const topic of ["a", "a.b", "a.b.c", "x.c", "c"]) await bus.publish(topic, 0);
  assert.deepEqual(seen, {
    "a.*": ["a.b"],
    "a.#": ["a", "a.b", "a.b.c"],
    "#.c": ["a.b.c", "x.c", "c"],
    "a.b": ["a.b"],
  });
});

test("publish: members of a group share the messages", async (t) => {
  const bus = await connectBus(t);
  const seen = [];
  const { promise, resolve } = deferred();
  for (const member of [1, 2]) {
    const note = ({ body }) => seen.push([member, body]) === 10 && resolve();
    await bus.subscribe("t", { group: "g" }, note).ready();
  }
  for (let n = 0; n < 10; n++) await bus.publish("t", n);
  await promise;
  assert.deepEqual(
    seen.map(([, n]) => n).sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  assert.equal(new Set(seen.map(([member]) => member)).size, 2);
});

test("subscribe: break, close, dispose and the signal end it", async (t) => {
  const bus = await connectBus(t);
  const broken = bus.subscribe("t");
  const got = take(broken, 1);
  await bus.publish("t", 1);
  await got;
  assert.equal(broken.closed.aborted, true);
  const controller = new AbortController();
  const signalled = bus.subscribe("t", { signal: controller.signal }, () => {});
  controller.abort();
  assert.equal(signalled.closed.aborted, true);
  const disposed = bus.subscribe("t", () => {});
  disposed[Symbol.dispose]();
  assert.equal(disposed.closed.aborted, true);
  await assert.rejects(disposed.ready(), { code: "CLOSED" });
  const stopped = bus.subscribe("t", () => {});
  await stopped.stop({ drain: true });
  assert.equal(stopped.closed.aborted, true);
  const late = bus.subscribe("t", { signal: controller.signal });
  await assert.rejects(late.ready({ timeout: "5s" }), { code: "CLOSED" });
});

test("publish: a handler that throws raises the error event", async (t) => {
  const bus = await connectBus(t);
  const errors = events(bus, "error", 2);
  bus.subscribe("t", () => {
    throw new Error("sync");
  });
  bus.subscribe("t", async () => {
    throw new Error("async");
  });
  await bus.publish("t", 1);
  assert.deepEqual((await errors).map(({ message }) => message).sort(), ["async", "sync"]);
});

test("subscribe: a slow iteration hears of the gap, in its place", async (t) => {
  const bus = await connectBus(t);
  const gaps = [];
  const subscription = bus.subscribe("t", { buffer: 2, onGap: (gap) => gaps.push(gap) });
  await subscription.ready();
  for (let n = 0; n < 5; n++) await bus.publish("t", n);
  const [first, second] = await take(subscription, 2);
  assert.deepEqual([first.body, second.body], [3, 4]);
  assert.equal(gaps.length, 1);
  const [gap] = gaps;
  assert.equal(gap.reason, "buffer");
  assert.equal(gap.publisher, bus.peer.id);
  assert.equal(gap.last - gap.first, 2);
  assert.equal(gap.last + 1, first.number);
});

test("publish: without onGap the error event tells of it", async (t) => {
  const bus = await connectBus(t);
  const errors = events(bus, "error");
  const subscription = bus.subscribe("t", { buffer: 1 });
  await subscription.ready();
  await bus.publish("t", 1);
  await bus.publish("t", 2);
  await take(subscription, 1);
  const [error] = await errors;
  assert.equal(error.code, "DISCARDED");
  assert.equal(error.data.reason, "buffer");
});

test("publish: post answers nothing, and tells its failure as an event", async (t) => {
  const bus = await connectBus(t);
  const errors = events(bus, "error");
  assert.equal(
    bus.topic("t").post(() => {}),
    undefined,
  );
  assert.equal((await errors)[0].code, "UNENCODABLE");
  const got = take(bus.topic("t").subscribe(), 1);
  bus.topic("t").post({ x: 1 });
  assert.deepEqual((await got)[0].body, { x: 1 });
});

test("publish: a custom codec takes the place of ours", async (t) => {
  const codec = {
    encode: (value) => new TextEncoder().encode(JSON.stringify(value)),
    decode: (bytes) => JSON.parse(new TextDecoder().decode(bytes)),
  };
  const bus = await connectBus(t, { codec });
  const got = take(bus.subscribe("t"), 1);
  await bus.publish("t", { when: new Date(0) });
  assert.deepEqual((await got)[0].body, { when: "1970-01-01T00:00:00.000Z" });
});

test("subscribe: an unreadable body raises the error event, nothing else", async (t) => {
  let bad = true;
  const codec = {
    encode: () => new Uint8Array([1]),
    decode: () => {
      if (bad) throw new Error("unreadable");
      return "fine";
    },
  };
  const bus = await connectBus(t, { codec });
  const errors = events(bus, "error");
  const got = take(bus.subscribe("t"), 1);
  await bus.publish("t", 1);
  assert.equal((await errors)[0].code, "PROTOCOL");
  bad = false;
  await bus.publish("t", 1);
  assert.equal((await got)[0].body, "fine");
});

const name = "n".repeat(LIMITS.name_bytes_max + 1);
for (const [what, publish, code] of [
  ["an empty topic", (bus) => bus.publish("", 1), ["INVALID"]],
  ["a topic with an empty word", (bus) => bus.publish("a..b", 1), ["INVALID"]],
  ["a topic with a wildcard", (bus) => bus.publish("a.*", 1), ["INVALID"]],
  ["a topic that is too long", (bus) => bus.publish(name, 1), ["INVALID", "TOO_LARGE"]],
  [
    "a topic of too many words",
    (bus) => bus.publish("a.".repeat(40) + "a", 1),
    ["INVALID", "TOO_LARGE"],
  ],
  ["a body that is too large", (bus) => bus.publish("t", new Uint8Array(2 << 20)), ["TOO_LARGE"]],
  [
    "headers that are too large",
    (bus) => bus.publish("t", 1, { headers: { h: "x".repeat(20_000) } }),
    ["TOO_LARGE"],
  ],
  ["a body that can't travel", (bus) => bus.publish("t", { el: () => {} }), ["UNENCODABLE"]],
  ["an option that is none", (bus) => bus.publish("t", 1, { tiemout: 1 }), ["INVALID"]],
  ["an empty queue name", (bus) => bus.queue("").send(1), ["INVALID"]],
  ["an empty service name", (bus) => bus.call("", "m", []), ["INVALID"]],
  ["an empty method name", (bus) => bus.call("s", "", []), ["INVALID"]],
]) {
  test(`what is refused: ${what}: ${code.join(" or ")}`, async (t) => {
    const bus = await connectBus(t);
    await assert.rejects(
      publish(bus),
      (error) => code.includes(error.code) && !error.maybeExecuted,
    );
    await bus.publish("t", "still works");
  });
}

test("what is refused: a filter that is none refuses its subscription", async (t) => {
  const bus = openBus(t);
  const errors = events(bus, "error");
  const subscription = bus.subscribe("a..b");
  await assert.rejects(subscription.ready(), { code: "INVALID" });
  assert.equal(subscription.closed.reason.code, "INVALID");
  assert.equal((await errors)[0].code, "INVALID");
  assert.throws(() => bus.subscribe("t", {}, "no function"), { code: "INVALID" });
});

test("what is refused: an ignored failure is no unhandled rejection", async (t) => {
  const seen = [];
  const note = (reason) => seen.push(reason);
  process.on("unhandledRejection", note);
  t.after(() => process.off("unhandledRejection", note));
  const bus = await connectBus(t);
  bus.addEventListener("error", () => {});
  void bus.publish("", 1);
  void bus.publish("t", () => {});
  void bus.queue("q", { lease: "1s" }).send(1, { timeout: "never" });
  void bus.queue("").receive();
  void bus.client("s").method(() => {});
  void bus.subscribe("").ready();
  void bus.close({ timeout: "never" });
  await bus.flush();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen, []);
});
