import assert from "node:assert/strict";
import { test } from "node:test";

import { RemoteError } from "tabmq";

import { connectBus, deferred, events } from "./helpers.mjs";

class Base {
  inherited() {
    return "from the base";
  }
}

class Calc extends Base {
  #secret = 7;
  add(a, b) {
    return a + b;
  }
  async slow(value) {
    return value;
  }
  self() {
    return this.#secret;
  }
  fail(kind) {
    if (kind === "type") {
      throw Object.assign(new TypeError("wrong", { cause: new Error("why") }), {
        code: "E_TYPE",
        at: 3,
      });
    }
    if (kind === "value") throw { plain: true };
    throw Object.assign(new Error("odd"), { handler: () => {} });
  }
  bad() {
    return { items: [{ el: () => {} }] };
  }
  large() {
    return new Uint8Array(2 << 20);
  }
  nothing() {}
}

test("calls: go to whoever serves, and come back", async (t) => {
  const bus = await connectBus(t);
  await bus.serve("calc@1", new Calc()).ready();
  const calc = bus.client("calc@1");
  assert.equal(await calc.add(2, 3), 5);
  assert.deepEqual(await calc.slow(new Map([[1, new Date(2)]])), new Map([[1, new Date(2)]]));
  assert.equal(await calc.self(), 7);
  assert.equal(await calc.inherited(), "from the base");
  assert.equal(await calc.nothing(), undefined);
  assert.equal(await bus.call("calc@1", "add", [1, 1]), 2);
  const all = await Promise.all(Array.from({ length: 50 }, (_, n) => calc.add(n, n)));
  assert.deepEqual(
    all,
    all.map((_, n) => n * 2),
  );
});

test("calls: bring what was thrown", async (t) => {
  const bus = await connectBus(t);
  bus.serve("calc@1", new Calc());
  const calc = bus.client("calc@1");
  await assert.rejects(calc.fail("type"), (error) => {
    assert.ok(error instanceof RemoteError);
    assert.equal(error.name, "TypeError");
    assert.equal(error.message, "wrong");
    assert.equal(error.code, "E_TYPE");
    assert.deepEqual(error.data, { at: 3 });
    assert.equal(error.cause.message, "why");
    return true;
  });
  await assert.rejects(calc.fail("value"), (error) => error.data.plain === true);
  await assert.rejects(calc.fail("odd"), { name: "Error", message: "odd" });
  await assert.rejects(calc.bad(), {
    code: "UNENCODABLE",
    data: {
      data: { path: "result.items[0].el", reason: "function" },
      retryable: false,
      maybeExecuted: false,
    },
  });
});

test("calls: reach no more than the methods", async (t) => {
  const bus = await connectBus(t);
  bus.serve("calc@1", Object.assign(new Calc(), { value: 5, $private: () => 1 }));
  for (const name of [
    "constructor",
    "toString",
    "hasOwnProperty",
    "__proto__",
    "value",
    "missing",
    "$private",
  ]) {
    await assert.rejects(bus.call("calc@1", name, []), { code: "NOT_FOUND" });
  }
});

test("calls: without a server are unavailable or over time, never for ever", async (t) => {
  const bus = await connectBus(t);
  await assert.rejects(bus.client("nobody").method(), { code: "UNAVAILABLE", retryable: true });
  const gate = deferred();
  bus.serve("stuck", { wait: () => gate.promise });
  await assert.rejects(bus.client("stuck", { timeout: 10 }).wait(), {
    code: "TIMEOUT",
    maybeExecuted: true,
  });
  await assert.rejects(bus.client("stuck").$with({ timeout: 10 }).wait(), { code: "TIMEOUT" });
  gate.resolve();
});

test("calls: are cancelled by the call, its disposal and the signal", async (t) => {
  const bus = await connectBus(t);
  const gate = deferred();
  bus.serve("stuck", { wait: () => gate.promise });
  const stuck = bus.client("stuck");
  const call = stuck.wait();
  call.cancel();
  await assert.rejects(call, { code: "CANCELLED", name: "AbortError" });
  const disposed = stuck.wait();
  disposed[Symbol.dispose]();
  await assert.rejects(disposed, { code: "CANCELLED" });
  const controller = new AbortController();
  const signalled = stuck.$with({ signal: controller.signal }).wait();
  controller.abort();
  await assert.rejects(signalled, { code: "CANCELLED" });
  gate.resolve();
});

test("calls: refuse arguments that can't travel, and answers that are too large", async (t) => {
  const bus = await connectBus(t);
  bus.serve("calc@1", new Calc());
  const calc = bus.client("calc@1");
  await assert.rejects(calc.add(1, { run: () => {} }), {
    code: "UNENCODABLE",
    data: { path: "arguments[1].run", reason: "function" },
  });
  await assert.rejects(calc.add(new Uint8Array(2 << 20)), { code: "TOO_LARGE" });
  const errors = events(bus, "error");
  await assert.rejects(calc.large(), { code: "TOO_LARGE" });
  assert.equal((await errors)[0].code, "TOO_LARGE");
  assert.throws(() => bus.client("calc@1", { hedge: 1 }), { code: "UNSUPPORTED" });
});

test("calls: a client is no promise, and its methods stay the same", async (t) => {
  const bus = await connectBus(t);
  const calc = bus.client("calc@1");
  assert.equal(calc.then, undefined);
  assert.equal(await calc, calc);
  assert.equal(calc.add, calc.add);
  assert.throws(() => {
    calc.add = 1;
  }, TypeError);
});

test("calls: one way brings nothing back", async (t) => {
  const bus = await connectBus(t);
  const got = deferred();
  bus.serve("sink", { put: (value) => got.resolve(value) });
  assert.equal(bus.client("sink").$send.put(5), undefined);
  assert.equal(await got.promise, 5);
  bus.client("sink").$send.missing();
  await bus.flush();
});

test("a service: runs as many calls at a time as it may", async (t) => {
  const bus = await connectBus(t);
  let running = 0;
  let most = 0;
  bus.serve(
    "one",
    {
      async run() {
        most = Math.max(most, (running += 1));
        await bus.flush();
        running -= 1;
      },
    },
    { concurrency: 2 },
  );
  const one = bus.client("one");
  await Promise.all(Array.from({ length: 6 }, () => one.run()));
  assert.equal(most, 2);
});

test("a service: that stops lets calls under way finish and takes no more", async (t) => {
  const bus = await connectBus(t);
  const started = deferred();
  const gate = deferred();
  const service = bus.serve("s", {
    async run() {
      started.resolve();
      return gate.promise;
    },
  });
  const call = bus.client("s").run();
  await started.promise;
  const stopped = service.stop({ drain: true });
  await assert.rejects(bus.client("s").run(), { code: "UNAVAILABLE" });
  gate.resolve("done");
  await stopped;
  assert.equal(await call, "done");
});

test("a service: must be an object", async (t) => {
  const bus = await connectBus(t);
  assert.throws(() => bus.serve("s"), { code: "INVALID" });
  assert.throws(() => bus.serve("s", {}, { balance: "random" }), { code: "UNSUPPORTED" });
});

test("calls: bring the trace they are a part of to the service", async (t) => {
  const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const bus = await connectBus(t);
  const seen = [];
  const service = bus.serve("calc", {
    async add(a, b) {
      seen.push(service.current);
      await undefined;
      seen.push(service.current);
      return a + b;
    },
  });
  await service.ready();
  const calc = bus.client("calc");
  const context = { method: "add", sender: bus.peer.id };
  assert.equal(await calc.$with({ traceparent: trace }).add(2, 3), 5);
  assert.equal(await bus.call("calc", "add", [2, 3], { traceparent: trace }), 5);
  assert.equal(await calc.add(2, 3), 5);
  assert.deepEqual(seen, [
    { ...context, traceparent: trace },
    undefined,
    { ...context, traceparent: trace },
    undefined,
    { ...context, traceparent: undefined },
    undefined,
  ]);
  for (const traceparent of ["", "x", trace.toUpperCase(), 5]) {
    await assert.rejects(bus.call("calc", "add", [], { traceparent }), { code: "INVALID" });
    assert.throws(() => calc.$with({ traceparent }), { code: "INVALID" });
  }
});

test("calls: interceptors see the trace and may set it", async (t) => {
  const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const bus = await connectBus(t);
  const seen = [];
  let given = trace;
  bus.use({
    outgoing: (message) => {
      if (message.kind === "call") message.traceparent ??= given;
    },
    incoming: (message) => void seen.push([message.method, message.traceparent]),
  });
  await bus.serve("calc", { nothing() {} }).ready();
  await bus.call("calc", "nothing", []);
  assert.deepEqual(seen, [["nothing", trace]]);
  given = "no trace";
  await assert.rejects(bus.call("calc", "nothing", []), { code: "INVALID" });
});

test("leadership: has one holder; the next one follows with a larger epoch", async (t) => {
  const bus = await connectBus(t);
  const terms = [];
  const follow = deferred();
  const one = bus.lead("sync", (term) => terms.push(["one", term]));
  await one.ready();
  const two = bus.lead("sync", (term) => {
    terms.push(["two", term]);
    follow.resolve();
  });
  await assert.rejects(two.ready({ timeout: 5 }), { code: "TIMEOUT" });
  assert.equal(terms.length, 1);
  one.close();
  await follow.promise;
  assert.equal(terms[0][1].signal.aborted, true);
  assert.equal(terms[1][0], "two");
  assert.ok(terms[1][1].epoch > terms[0][1].epoch);
  assert.equal(terms[1][1].signal.aborted, false);
});

test("leadership: ends with a throw, which is told, and begins anew", async (t) => {
  const bus = await connectBus(t);
  const errors = events(bus, "error");
  const epochs = [];
  const again = deferred();
  const leadership = bus.lead("sync", ({ epoch }) => {
    epochs.push(epoch);
    if (epochs.length === 1) throw new Error("not today");
    again.resolve();
  });
  assert.equal((await errors)[0].message, "not today");
  await again.promise;
  assert.ok(epochs[1] > epochs[0]);
  leadership.close();
  assert.throws(() => bus.lead("sync"), { code: "INVALID" });
});
