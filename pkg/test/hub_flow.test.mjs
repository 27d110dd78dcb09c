// Hubs and networks that are slower than who sends: nothing is kept without a bound, and nothing of
// what was taken is lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { all, until } from "./helpers.mjs";
import { connectHub, hubProcess, Network, openHub } from "./hub.mjs";

const MIB = 1 << 20;
/** Of the messages that a client holds, and of those that wait in front of it. */
const HELD = 8 * MIB;
const LIMITS = { request_bytes_max: HELD, verb_timeout_ms: 120_000 };
const KEPT = 2 * HELD + 12 * MIB;
const PATIENCE = { timeout: 120_000 };
/** As many that are a kilobyte long are more than a client may hold. */
const COUNT = 12_000;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

/** Bytes outside of the module that something refers to. */
function inUse() {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Asks for all of it at once; tells what was stored and why the rest was not. */
function sendAtOnce(queue, count, body) {
  const [stored, refused] = [[], []];
  const send = async (number) => {
    try {
      await queue.send({ number, body }, { confirm: "hub", ...PATIENCE });
      stored.push(number);
    } catch (error) {
      // An error keeps what its stack refers to, and so the bytes of its send.
      refused.push({ code: error.code, reason: error.data.reason, message: error.message });
    }
  };
  return { stored, refused, done: Promise.all(Array.from({ length: count }, (_, at) => send(at))) };
}

async function numbersIn(queue) {
  return (await all(queue.browse())).map(({ body }) => body.number);
}

test("hub: a process that stands still is sent no more than the limits, and gets all of it", {
  timeout: 180_000,
}, async (t) => {
  const hub = await hubProcess(t, {});
  const bus = await connectHub(t, hub.url, "shop", undefined, { limits: LIMITS });
  const queue = bus.queue("jobs");
  await queue.send({ number: -1 }, { confirm: "hub" });
  const before = inUse();
  hub.signal("SIGSTOP");
  const body = "x".repeat(16_000);
  const count = Math.floor((6 * HELD) / 16_000);
  const { stored, refused, done } = sendAtOnce(queue, count, body);
  // It waits behind the sends, and is not refused because of them.
  const info = queue.info(PATIENCE);
  const other = bus.queue("other", { order: "key" }).info(PATIENCE);
  await until(() => refused.length > 0);
  const [error] = refused;
  assert.deepEqual([error.code, error.reason], ["FULL", "request_bytes_max"]);
  assert.match(error.message, /request_bytes_max is 8388608; await sends, or use sendAll/);
  // Until it is taken for dead, and is dialed anew.
  await until(() => bus.status.get() !== "ready");
  const kept = inUse() - before;
  t.diagnostic(`${kept / MIB} MiB are kept`);
  assert.ok(kept < KEPT, `${kept / MIB} MiB are kept`);
  assert.deepEqual(stored, []);
  hub.signal("SIGCONT");
  await done;
  assert.equal(stored.length + refused.length, count);
  assert.ok(refused.every(({ code }) => code === "FULL"));
  assert.ok(stored.length * 16_000 > 1.9 * HELD, "what a client holds, and as much before it");
  assert.deepEqual(await numbersIn(queue), [-1, ...stored], "once each, and in order");
  assert.equal((await info).ready, stored.length + 1);
  assert.equal((await other).ready, 0);
});

test("hub: a network that stalls holds up whoever goes by the pace of the hub", {
  timeout: 120_000,
}, async (t) => {
  const { port } = await openHub(t);
  const network = await Network.start(t, port);
  const bus = await connectHub(t, network.url, "shop", undefined, { limits: LIMITS });
  const queue = bus.queue("jobs");
  await queue.send({ number: -1 }, { confirm: "hub" });
  network.stall();
  const body = "x".repeat(1000);
  let pulled = 0;
  const items = function* () {
    for (; pulled < COUNT; pulled += 1) yield { body: { number: pulled, body } };
  };
  const sent = queue.sendAll(items(), PATIENCE);
  await until(() => bus.status.get() !== "ready");
  assert.ok(pulled < COUNT, "what the device can't hold holds up the rest");
  network.cut();
  network.flow();
  const { stored } = await sent;
  assert.equal(stored, COUNT);
  await bus.flush(PATIENCE);
  const numbers = await numbersIn(queue);
  assert.deepEqual(numbers, Array.from({ length: COUNT + 1 }, (_, at) => at - 1));
});
