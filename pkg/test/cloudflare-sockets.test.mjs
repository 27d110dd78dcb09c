// Sockets of Durable Objects on which nobody speaks, or from which nobody reads.
import assert from "node:assert/strict";
import { test } from "node:test";

import { WebSocket } from "ws";

import { connectTo, rawSocket, startWorker, Way } from "./cloudflare.mjs";
import { events, until } from "./helpers.mjs";

const UNAVAILABLE = 4018;

const withLimits = (limits) =>
  `{ binding: "HUB", authorize: "anonymous", limits: ${JSON.stringify(limits)} }`;

test("cloudflare: a socket on which nobody speaks is dropped with a code, others live on", {
  timeout: 30_000,
}, async (t) => {
  const worker = await startWorker(t, { options: withLimits({ socket_silence_ms: 300 }) });
  const bus = await connectTo(t, worker.url, "silent");
  const lost = [];
  bus.addEventListener("status", ({ detail }) => lost.push(detail));
  const silent = Array.from({ length: 20 }, () => rawSocket(`${worker.url}/silent`));
  // A sign of life that the runtime answers is no word for the hub.
  for (const { socket, opened } of silent.slice(10)) void opened.then(() => socket.send("ping"));
  await until(() => silent.every(({ socket }) => socket.readyState >= WebSocket.CLOSING));
  await bus.queue("q").send(1, { confirm: "hub" });
  assert.deepEqual(lost, []);
  // The runtime ends a connection long after it has said that it is closed.
  for (const { socket } of silent) socket.terminate();
  const codes = await Promise.all(silent.map(({ closed }) => closed));
  assert.deepEqual(codes, Array(20).fill(UNAVAILABLE));
});

test("cloudflare: who does not read is dropped with a code, costs bounded memory, hears of it", {
  timeout: 60_000,
}, async (t) => {
  const socket_bytes_max = 1 << 20;
  const limits = { socket_bytes_max, repair_bytes_max: 1 << 20 };
  const worker = await startWorker(t, { options: withLimits(limits) });
  const way = await Way.open(t, worker.url);
  const slow = await connectTo(t, way.url, "slow", { limits: { node_silence_ms: 200 } });
  const fast = await connectTo(t, worker.url, "slow");
  const gaps = [];
  let last = -1;
  const onGap = (gap) => gaps.push(gap);
  const subscription = slow.subscribe("x", { onGap }, ({ body }) => (last = body.number));
  await subscription.ready();
  const padding = "x".repeat(100_000);
  await fast.publish("x", { number: 0, padding });
  await until(() => last === 0);
  const lost = events(slow, "status");
  way.hold();
  for (let number = 1; number <= 200; number += 1) {
    await fast.publish("x", { number, padding });
    // So it is known that the hub has it.
    await fast.queue("q").send(number, { confirm: "hub" });
  }
  await lost;
  way.release();
  await slow.ready();
  await fast.publish("x", { number: 201, padding });
  await until(() => last === 201);
  const missed = gaps.reduce((sum, gap) => sum + gap.last - gap.first + 1, 0);
  assert.equal(missed + subscription.stats.delivered, 202);
  assert.ok(missed > 100, `${missed} missed`);
  // A message more is told too much, and what answers a question may be under way.
  const dropped = ([code, reason]) => code === UNAVAILABLE && reason === "too-slow";
  await until(() => way.closed.some(dropped));
  const { late_bytes } = way;
  t.diagnostic(`${missed} missed, ${late_bytes} bytes waited`);
  assert.ok(late_bytes > padding.length && late_bytes < socket_bytes_max + 2 * padding.length);
});
