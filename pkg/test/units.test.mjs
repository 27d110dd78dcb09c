import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { internals } from "./internals.mjs";

const { Inbox, LIMITS, Pending, Reject, RemoteError, Retry, Source, TabmqError } = internals;
const hasCode = (expected) => (error) => internals.isTabmqError(error, expected);

const durations = {
  5: 5,
  "250ms": 250,
  "5s": 5000,
  "1.5m": 90_000,
  "2h": 7_200_000,
  "1d": 86_400_000,
};
for (const [text, expected] of Object.entries(durations)) {
  test(`durations: ${text} is ${expected} ms`, () => {
    assert.equal(internals.milliseconds(text === "5" ? 5 : text, "x"), expected);
  });
}
for (const text of [
  "",
  "5",
  "5 s",
  "-1s",
  "s",
  "1w",
  "1e3s",
  null,
  undefined,
  Number.NaN,
  -1,
  {},
]) {
  test(`durations: ${JSON.stringify(text) ?? "undefined"} is refused`, () => {
    assert.throws(() => internals.milliseconds(text, "x"), hasCode("INVALID"));
  });
}

test("errors: a cancelled wait looks like an abort, a deadline like a timeout", () => {
  assert.equal(new TabmqError("CANCELLED", "x").name, "AbortError");
  assert.equal(new TabmqError("TIMEOUT", "x").name, "TimeoutError");
  assert.equal(new TabmqError("FULL", "x").name, "TabmqError");
});

test("errors: isTabmqError tells by brand and code", () => {
  const error = new TabmqError("FULL", "x", { data: { reason: "quota" } });
  assert.ok(internals.isTabmqError(error));
  assert.ok(internals.isTabmqError(error, "FULL"));
  assert.ok(!internals.isTabmqError(error, "CLOSED"));
  for (const other of [new Error("x"), null, undefined, "FULL", { code: "FULL" }]) {
    assert.ok(!internals.isTabmqError(other));
  }
  assert.equal(error.retryable, true);
  assert.equal(error.maybeExecuted, false);
  assert.deepEqual(error.data, { reason: "quota" });
});

test("errors: every code has its number and every number its code", () => {
  const numbers = Object.values(internals.CODES);
  assert.equal(new Set(numbers).size, numbers.length);
  for (const [text, number] of Object.entries(internals.CODES)) {
    assert.equal(internals.codeOf(number), text);
  }
  assert.equal(internals.codeOf(9999), "INTERNAL");
});

test("errors: a remote error keeps name, message, code, data and cause", () => {
  const thrown = Object.assign(new TypeError("no", { cause: 7 }), { code: "E_NO", extra: 1 });
  const error = new RemoteError(thrown);
  assert.equal(error.name, "TypeError");
  assert.equal(error.message, "no");
  assert.equal(error.code, "E_NO");
  assert.deepEqual(error.data, { extra: 1 });
  assert.equal(error.cause, 7);
  assert.match(error.stack, /at the service/);
});

test("errors: a thrown value that is no error is the data", () => {
  const error = new RemoteError({ a: 1 });
  assert.equal(error.name, "RemoteError");
  assert.deepEqual(error.data, { a: 1 });
  assert.equal(error.code, undefined);
});

test("errors: Retry and Reject carry what they say", () => {
  assert.equal(new Retry({ after: "5s", reason: "busy" }).after, "5s");
  assert.equal(new Retry({ after: "5s", reason: "busy" }).message, "busy");
  assert.equal(new Reject("bad").message, "bad");
});

test("limits: are those of the core", () => {
  const source = readFileSync(new URL("../../src/limits.rs", import.meta.url), "utf8");
  const table = source.slice(source.indexOf("DEFAULTS: Self = Self {"));
  const entries = [...table.matchAll(/^ {8}(\w+): ([\d_ <*]+),$/gm)];
  const value = (text) =>
    text.includes("<<")
      ? text
          .split("<<")
          .map(Number)
          .reduce((number, bits) => number * 2 ** bits)
      : text
          .split("*")
          .map((part) => Number(part.replaceAll("_", "")))
          .reduce((a, b) => a * b);
  const core = Object.fromEntries(entries.map(([, name, text]) => [name, value(text)]));
  assert.deepEqual({ ...LIMITS }, core);
  assert.deepEqual({ ...LIMITS, ...internals.OWN_LIMITS }, core);
});

const REFUSED = [
  [internals.checkPublish, { timeout: "x" }],
  [internals.checkPublish, { id: 7 }],
  [internals.checkPublish, { headers: { a: {} } }],
  [internals.checkPublish, { signal: {} }],
  [internals.checkSend, { delay: Infinity }],
  [internals.checkSend, { at: "tomorrow" }],
  [internals.checkSend, { at: new Date(Number.NaN) }],
  [internals.checkSend, { durability: "very" }],
  [internals.checkSubscribe, { buffer: 0 }],
  [internals.checkSubscribe, { onGap: 1 }],
  [internals.checkQueue, { maxDeliver: 1.5 }],
  [internals.checkQueue, { deadLetter: true }],
  [internals.checkQueue, { backoff: { first: "1s", factor: -1 } }],
  [internals.checkQueue, { backoff: { frist: 1 } }],
  [internals.checkQueue, { backoff: [] }],
  [internals.checkQueue, { backoff: [1, "soon"] }],
  [internals.checkQueue, { backoff: { kind: "fixed", factor: 2 } }],
  [internals.checkQueue, { backoff: { factor: 2, step: 1 } }],
  [internals.checkQueue, { backoff: { kind: "ladder" } }],
  [internals.checkQueue, { backoff: { kind: "random" } }],
  [internals.checkConnect, { limits: { requests_max: -1 } }],
  [internals.checkConnect, { peer: { tags: { a: 1 } } }],
  [internals.checkConnect, { host: "cloud" }],
  [internals.checkConnect, { codec: {} }],
  [internals.checkQueue, { maxPerKey: 0 }],
  [internals.checkQueue, { lastValue: 1 }],
  [internals.checkQueue, { rate: 5 }],
  [internals.checkQueue, { rate: { limit: 5 } }],
  [internals.checkQueue, { rate: { limit: 0, per: "1s" } }],
  [internals.checkQueue, { rate: { limit: 2 ** 32, per: "1s" } }],
  [internals.checkQueue, { rate: { limit: 1, per: 0 } }],
  [internals.checkQueue, { rate: { limit: 1, per: "1s", burst: 1.5 } }],
];
const verbs = {
  publish: [internals.checkPublish, { headers: { a: 1 }, timeout: "1s" }, "retain"],
  send: [internals.checkSend, { delay: "1s", durability: "memory" }],
  subscribe: [internals.checkSubscribe, { group: "g", buffer: 3 }, "where"],
  queue: [internals.checkQueue, { lease: "3s", deadLetter: false }, "schema"],
  call: [internals.checkCall, { timeout: 5 }, "hedge"],
  connect: [internals.checkConnect, { storage: "memory" }],
  serve: [internals.checkServe, { concurrency: 2 }, "balance"],
};
for (const [verb, [check, good, later]] of Object.entries(verbs)) {
  test(`options: ${verb} takes what it knows`, () => {
    assert.deepEqual(Object.keys(check(good)), Object.keys(good));
    assert.deepEqual(check(undefined), {});
    if (later) assert.deepEqual(check({ [later]: undefined }), {});
  });
  if (later) test(`options: ${verb} names an option of a later version`, () => {
    assert.throws(
      () => check({ [later]: 1 }),
      (error) =>
        internals.isTabmqError(error, "UNSUPPORTED") && error.message.includes(`"${later}"`),
    );
  });
  test(`options: ${verb} refuses an option that nobody knows`, () => {
    assert.throws(() => check({ tiemout: 1 }), hasCode("INVALID"));
    assert.throws(() => check("x"), hasCode("INVALID"));
    assert.throws(() => check({ toString: 1 }), hasCode("INVALID"));
  });
}

for (const [check, options] of REFUSED) {
  test(`options: ${JSON.stringify(options)} is refused`, () => {
    assert.throws(() => check(options), hasCode("INVALID"));
  });
}

for (const options of [{ storage: "./data" }]) {
  test(`options: ${JSON.stringify(options)} is not supported yet`, () => {
    assert.throws(() => internals.checkConnect(options), hasCode("UNSUPPORTED"));
  });
}

test("options: backoffs cross the border as the tests of the core have them", () => {
  const policies = new URL("../../tests/backoff/policies.json", import.meta.url);
  for (const { text, wire } of JSON.parse(readFileSync(policies, "utf8"))) {
    const backoff = new Function(`return ${text}`)();
    assert.deepEqual(internals.checkQueue({ backoff }).backoff, wire, text);
  }
});

test("options: delay and at exclude each other", () => {
  assert.throws(() => internals.delayOf({ delay: 1, at: new Date() }), hasCode("INVALID"));
  assert.equal(internals.delayOf({ at: new Date(0) }), 0);
});

const wait = (more) => ({ verb: "test", timeout_ms: 30_000, ...more });

test("pending: settles once", async () => {
  const pending = new Pending(wait(), () => false);
  pending.resolve(1);
  pending.reject(new Error("late"));
  assert.equal(await pending.promise, 1);
});

test("pending: a deadline tells whether it may have happened", async () => {
  for (const maybe of [true, false]) {
    const pending = new Pending(wait({ timeout_ms: 1 }), () => maybe);
    await assert.rejects(pending.promise, { code: "TIMEOUT", maybeExecuted: maybe });
  }
});

test("pending: a signal ends it, also one that has aborted before", async () => {
  const controller = new AbortController();
  const pending = new Pending(wait({ signal: controller.signal }), () => false);
  controller.abort("why");
  await assert.rejects(pending.promise, { code: "CANCELLED", name: "AbortError", cause: "why" });
  const late = new Pending(wait({ signal: controller.signal }), () => false);
  await assert.rejects(late.promise, { code: "CANCELLED" });
});

test("alarms: one timer serves all waits of one length, in order", async () => {
  const { setTimeout: original } = globalThis;
  let timers = 0;
  globalThis.setTimeout = (...parameters) => {
    timers += 1;
    return original(...parameters);
  };
  try {
    const rung = [];
    const wanted = [0, 1, 2, 3];
    const rings = (number) =>
      new Promise((resolve) => internals.setAlarm(20, () => resolve(rung.push(number))));
    const waits = wanted.map(rings);
    internals.setAlarm(20, () => rung.push("taken back"))();
    assert.equal(timers, 1);
    await Promise.all(waits);
    assert.deepEqual(rung, wanted);
    // The line is open no more, so the next wait of that length begins another.
    const before = timers;
    internals.setAlarm(20, () => {})();
    assert.equal(timers, before + 1);
  } finally {
    globalThis.setTimeout = original;
  }
});

test("pending: an infinite wait has no timer", () => {
  const pending = new Pending(wait({ timeout_ms: Infinity }), () => false);
  assert.equal(pending.left_ms, Infinity);
  pending.resolve();
});

test("pending: an ignored failure is no unhandled rejection", async () => {
  const seen = [];
  const note = (reason) => seen.push(reason);
  process.on("unhandledRejection", note);
  new Pending(wait(), () => false).reject(new Error("ignored"));
  void internals.attempt(() => {
    throw new Error("ignored as well");
  });
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", note);
  assert.deepEqual(seen, []);
});

test("watches: tell each change, keep their value and can be left", () => {
  const source = new Source(1);
  let started = 0;
  const { get, subscribe } = source.watch(() => {
    started += 1;
  });
  const seen = [];
  const leave = subscribe((value) => seen.push(value));
  source.set(2);
  source.set(2);
  leave();
  source.set(3);
  assert.deepEqual(seen, [2]);
  assert.equal(get(), 3);
  assert.equal(started, 1);
});

test("inbox: gives in order, to who waits first, and ends", async () => {
  const inbox = new Inbox();
  const first = inbox.next();
  inbox.push("a");
  inbox.push("b");
  inbox.close();
  assert.deepEqual(await first, { value: "a", done: false });
  assert.deepEqual(await inbox.next(), { value: "b", done: false });
  assert.deepEqual(await inbox.next(), { value: undefined, done: true });
});
