import assert from "node:assert/strict";
import { test } from "node:test";

import { connectBus, deferred, take, until } from "./helpers.mjs";

/** A bus, and a handler that keeps what it gets: `[topic, key, body, conflated]`. */
async function conflated(t, conflate, options = {}) {
  const bus = await connectBus(t);
  const got = [];
  const gaps = [];
  const keep = ({ topic, key, body, conflated: left }) => void got.push([topic, key, body, left]);
  const onGap = (gap) => void gaps.push(gap);
  const prices = bus.subscribe("price.*", { conflate, onGap, ...options }, keep);
  await prices.ready();
  const say = (topic, key, body) => bus.publish(`price.${topic}`, body, { key });
  return { bus, prices, got, gaps, say };
}

test("conflate: the newest of each key comes, in the order of the newest", async (t) => {
  const { bus, prices, got, gaps, say } = await conflated(t, { every: 50 });
  await Promise.all([
    say("eu", "a", 1),
    say("eu", "b", 1),
    say("us", "a", 1),
    say("eu", "a", 2),
    say("eu", undefined, 1),
    say("eu", "a", 3),
  ]);
  await until(() => got.length >= 4);
  assert.deepEqual(got, [
    ["price.eu", "b", 1, 0],
    ["price.us", "a", 1, 0],
    ["price.eu", undefined, 1, 0],
    ["price.eu", "a", 3, 2],
  ]);
  assert.deepEqual(gaps, []);
  assert.deepEqual(prices.stats, { delivered: 4, waiting: 0, conflated: 2, dropped: 0 });
  await bus.flush();
});

test("conflate: by topic the key means nothing", async (t) => {
  const { got, say } = await conflated(t, { by: "topic", every: 20 });
  await Promise.all([say("eu", "a", 1), say("eu", "b", 2), say("us", "a", 3)]);
  await until(() => got.length >= 2);
  assert.deepEqual(got, [
    ["price.eu", "b", 2, 1],
    ["price.us", "a", 3, 0],
  ]);
});

test("conflate: a key comes once in a period, and its last value always comes", async (t) => {
  const { prices, got, say } = await conflated(t, { every: 100 });
  const began = performance.now();
  let said = 0;
  while (performance.now() - began < 350) await say("eu", "a", (said += 1));
  await until(() => got.at(-1)?.[2] === said);
  const lasted = performance.now() - began;
  assert.ok(got.length <= 2 + lasted / 100, `${got.length} of ${said} in ${lasted} ms`);
  const { delivered, conflated: left, waiting } = prices.stats;
  assert.deepEqual([delivered + left, waiting], [said, 0]);
  assert.equal(got.reduce((sum, [, , , older]) => sum + older, 0), left);
});

test("conflate: each key comes once with a frame, or late if none is drawn", async (t) => {
  const frames = new Map();
  let last = 0;
  globalThis.requestAnimationFrame = (run) => frames.set((last += 1), run) && last;
  globalThis.cancelAnimationFrame = (frame) => frames.delete(frame);
  t.after(() => {
    delete globalThis.requestAnimationFrame;
    delete globalThis.cancelAnimationFrame;
  });
  const draw = () => {
    for (const run of frames.values()) run();
  };
  const { got, say } = await conflated(t, {});
  const bodies = () => got.splice(0).map(([, key, body]) => [key, body]);
  for (const round of [1, 2]) {
    await Promise.all([say("eu", "a", 0), say("eu", "b", round), say("eu", "a", round)]);
    draw();
    assert.deepEqual(bodies(), [
      ["b", round],
      ["a", round],
    ]);
  }
  assert.equal(frames.size, 0, "none is asked for while nothing waits");
  await say("eu", "a", 3);
  await until(() => got.length === 1);
  assert.deepEqual([bodies(), frames.size], [[["a", 3]], 0]);
});

test("conflate: an iteration gets the newest of what came while it was busy", async (t) => {
  const bus = await connectBus(t);
  const prices = bus.subscribe("price", { conflate: {} });
  await prices.ready();
  const first = take(prices, 1);
  await bus.publish("price", 0);
  assert.deepEqual((await first).map(({ body }) => body), [0]);

  const slow = bus.subscribe("price", { conflate: { every: "5ms" } });
  await slow.ready();
  const got = [];
  for (let price = 1; price <= 20; price += 1) await bus.publish("price", price);
  for await (const { body, conflated: left } of slow) {
    got.push([body, left]);
    if (got.length === 2) break;
    for (let price = 21; price <= 40; price += 1) await bus.publish("price", price);
  }
  assert.deepEqual(got, [
    [20, 19],
    [40, 19],
  ]);
});

test("conflate: more keys than fit come before their time to a handler", async (t) => {
  const { got, gaps, prices, say } = await conflated(t, { every: "1h" }, { buffer: 3 });
  await say("eu", "first", 0);
  await until(() => got.length === 1);
  await Promise.all(["a", "b", "c", "a", "d"].map((key, index) => say("eu", key, index)));
  assert.deepEqual(got.slice(1).map(([, key, body]) => [key, body]), [
    ["b", 1],
    ["c", 2],
    ["a", 3],
  ]);
  assert.deepEqual(gaps, []);
  assert.deepEqual(prices.stats, { delivered: 4, waiting: 1, conflated: 1, dropped: 0 });
});

test("conflate: more keys than fit are a gap to an iteration that takes none", async (t) => {
  const bus = await connectBus(t);
  const gaps = [];
  const onGap = (gap) => void gaps.push(gap);
  const prices = bus.subscribe("price", { conflate: { every: 1 }, buffer: 2, onGap });
  await prices.ready();
  const { id } = bus.peer;
  for (const key of ["a", "b", "c", "d"]) await bus.publish("price", key, { key });
  const got = await take(prices, 2);
  assert.deepEqual(got.map(({ body }) => body), ["c", "d"]);
  const [{ number }] = got;
  const told = { publisher: id, first: number - 2, last: number - 1, reason: "buffer" };
  assert.deepEqual(gaps, [told]);
  const { delivered, dropped, conflated: left } = prices.stats;
  assert.deepEqual({ delivered, dropped, left }, { delivered: 2, dropped: 2, left: 0 });
});

test("conflate: interceptors see only what is left, and what comes meanwhile waits", async (t) => {
  const { bus, got, say } = await conflated(t, { every: 1 });
  const gate = deferred();
  const seen = [];
  bus.use({
    async incoming({ body }) {
      seen.push(body);
      await gate.promise;
    },
  });
  await say("eu", "a", 1);
  await until(() => seen.length === 1);
  for (const body of [2, 3, 4]) await say("eu", "a", body);
  gate.resolve();
  await until(() => got.length === 2);
  assert.deepEqual(seen, [1, 4]);
  assert.deepEqual(got.map(([, , body, left]) => [body, left]), [
    [1, 0],
    [4, 2],
  ]);
});

test("conflate: nothing comes after the end, and a bad option is refused", async (t) => {
  const { bus, prices, got, say } = await conflated(t, { every: "1h" });
  await say("eu", "a", 0);
  await until(() => got.length === 1);
  await say("eu", "a", 1);
  assert.equal(prices.stats.waiting, 1);
  prices.close();
  assert.equal(prices.stats.waiting, 0);
  assert.equal(got.length, 1);
  for (const conflate of [5, { by: "value" }, { every: 0 }, { every: "often" }, { of: 1 }])
    assert.throws(() => bus.subscribe("x", { conflate }), { code: "INVALID" });
});

test("stats: a subscription tells what waits and what was dropped", async (t) => {
  const bus = await connectBus(t);
  const ticks = bus.subscribe("ticks", { buffer: 2, onGap: () => {} });
  await ticks.ready();
  for (const tick of [1, 2, 3]) await bus.publish("ticks", tick);
  assert.deepEqual(ticks.stats, { delivered: 0, waiting: 2, conflated: 0, dropped: 1 });
  await take(ticks, 2);
  assert.deepEqual(ticks.stats, { delivered: 2, waiting: 0, conflated: 0, dropped: 1 });
});
