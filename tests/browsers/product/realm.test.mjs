// What the package does to the page it is loaded into, and what it leaves there.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openPage, openPrepared } from "./bus.mjs";
import { heapBytes } from "./memory.mjs";

const BUSES = 500;
const BUSES_BEFORE = 50;
const GROWTH_MAX = 1.1;

/**
 * In the page: as an engine without explicit resource management. Where the symbols are there
 * they can't be deleted, so all of `Symbol` but them moves to a stand-in.
 */
function removeDisposeSymbols() {
  const Native = Symbol;
  const StandIn = (description) => Native(description);
  for (const key of Reflect.ownKeys(Native)) {
    if (["dispose", "asyncDispose", "length", "name"].includes(key)) continue;
    Object.defineProperty(StandIn, key, Object.getOwnPropertyDescriptor(Native, key));
  }
  globalThis.Symbol = StandIn;
  if (Symbol.dispose !== undefined) throw new Error("Symbol.dispose is still there");
}

test("the symbols of disposal are there before any class", { folders }, async (t) => {
  const tab = await openPrepared(t, "old engine", removeDisposeSymbols);
  const found = await tab.evaluate(async () => {
    await globalThis.connect("test");
    const queue = globalThis.bus.queue("jobs");
    const consumer = queue.consume();
    await queue.send("one");
    const { value: delivery } = await consumer[Symbol.asyncIterator]().next();
    const has = (object, ...names) => names.map((name) => typeof object[Symbol[name]]);
    const kinds = [
      ...has(globalThis.bus, "asyncDispose"),
      ...has(consumer, "dispose", "asyncDispose"),
      ...has(delivery, "asyncDispose"),
    ];
    await delivery[Symbol.asyncDispose]();
    const { ready, leased } = await queue.info();
    await globalThis.bus[Symbol.asyncDispose]();
    return { kinds, unsettled: ready + leased, status: globalThis.bus.status.get() };
  });
  assert.deepEqual(new Set(found.kinds), new Set(["function"]));
  assert.deepEqual([found.unsettled, found.status], [1, "closed"]);
});

/** In the page: counts what the package opens and does not close. */
function countResources() {
  const counts = { channels: 0, listeners: 0 };
  globalThis.resources = counts;
  globalThis.memories = [];
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...parameters) => {
    const result = await instantiate(...parameters);
    globalThis.memories.push((result.instance ?? result).exports.memory);
    return result;
  };
  globalThis.BroadcastChannel = class extends BroadcastChannel {
    #open = true;
    constructor(name) {
      super(name);
      counts.channels += 1;
    }
    close() {
      if (this.#open) counts.channels -= 1;
      this.#open = false;
      super.close();
    }
  };
  // Those of the page itself; what belongs to a request or a channel goes with it.
  for (const target of [globalThis, document]) {
    const { addEventListener: add, removeEventListener: remove } = target;
    target.addEventListener = (...parameters) => {
      counts.listeners += 1;
      add.apply(target, parameters);
    };
    target.removeEventListener = (...parameters) => {
      counts.listeners -= 1;
      remove.apply(target, parameters);
    };
  }
}

/** Each bus is a publisher, whose newest number all remember up to a bound: here it is soon met. */
const FEW = { limits: { sessions_max: 20, publishers_max: 40 } };

/** In the page: opens and closes buses one after another, each with some work. */
async function openAndClose(count, options) {
  for (let number = 0; number < count; number += 1) {
    const bus = globalThis.tabmq.createBus("many", options);
    const queue = bus.queue("jobs");
    const consumer = queue.process(() => {});
    const subscription = bus.subscribe("told", () => {});
    await queue.send({ number });
    await bus.publish("told", number);
    await consumer.stop({ drain: true });
    subscription.close();
    await bus.close({ drain: true });
  }
}

/** In the page. */
async function countLocks() {
  const { held, pending } = await navigator.locks.query();
  return held.length + pending.length;
}

async function takeStock(t, tab) {
  const counts = await tab.evaluate(() => ({ ...globalThis.resources }));
  const wasm_bytes = await tab.evaluate(() =>
    globalThis.memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0),
  );
  const locks = await tab.evaluate(countLocks);
  return { ...counts, locks, wasm_bytes, heap_bytes: await heapBytes(t, tab) };
}

const many = { folders, deadline_ms: 300_000 };

test("500 buses opened and closed leave nothing behind", many, async (t) => {
  // Hosts all the time: a page that hosts for a moment needs memory for what the log holds.
  const keeper = await openPage(t, "keeper");
  const host = (options) => globalThis.tabmq.connect("many", options).then(() => null);
  await keeper.evaluate(host, FEW);
  const tab = await openPrepared(t, "many", countResources);
  const run = (count) => tab.evaluateWithin(many.deadline_ms, openAndClose, count, FEW);
  await run(BUSES_BEFORE);
  const before = await takeStock(t, tab);
  await run(BUSES - BUSES_BEFORE);
  const after = await takeStock(t, tab);
  assert.ok(before.wasm_bytes > 0, "the memory of the module was found");
  for (const name of ["listeners", "locks", "channels"]) {
    assert.equal(after[name], before[name], name);
  }
  for (const name of ["wasm_bytes", "heap_bytes"]) {
    if (before[name] === undefined) continue;
    t.measure(`${name}_growth_percent`, (after[name] / before[name] - 1) * 100);
    assert.ok(after[name] <= before[name] * GROWTH_MAX, `${name}: ${before[name]} ${after[name]}`);
  }
});
