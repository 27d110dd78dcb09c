import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";

import { createBus } from "tabmq";

import { connectBus, events, until } from "./helpers.mjs";

const COUNT = 5000;

test("posts arrive once and in order, far beyond what may be under way", async (t) => {
  const bus = await connectBus(t, { limits: { requests_max: 64 } });
  const errors = events(bus, "error");
  const heard = [];
  const numbers = bus.subscribe("numbers.*", ({ body }) => heard.push(body));
  await numbers.ready();
  const topic = bus.topic("numbers.all");
  for (let next = 0; next < 100; next += 1) topic.post(next);
  await bus.publish("numbers.last", 100);
  await until(() => heard.length === 101);
  assert.deepEqual(
    heard,
    Array.from({ length: 101 }, (_, index) => index),
  );
  assert.deepEqual(await Promise.race([errors, []]), []);
});

test("posts and publishes of one client keep their order", async (t) => {
  const bus = await connectBus(t);
  const heard = [];
  await bus.subscribe("a", ({ body }) => heard.push(body)).ready();
  const topic = bus.topic("a");
  const published = [];
  for (let next = 0; next < COUNT; next += 2) {
    topic.post(next);
    published.push(topic.publish(next + 1));
  }
  await Promise.all(published);
  await until(() => heard.length === COUNT);
  assert.ok(heard.every((body, index) => body === index));
});

test("a post that can't be made is told as an error, and nothing is thrown", async (t) => {
  const bus = await connectBus(t);
  const told = [];
  bus.addEventListener("error", ({ detail }) => told.push(detail.code));
  bus.topic("a").post(() => {});
  bus.topic("a..b").post(1);
  bus.topic("a").post("x".repeat(2_000_000));
  await bus.close();
  bus.topic("a").post(1);
  assert.deepEqual(told, ["UNENCODABLE", "INVALID", "TOO_LARGE", "CLOSED"]);
});

test("posts that nobody confirms are given up together, and told once", async (t) => {
  // It takes connections and never answers.
  const silent = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => silent.once("listening", resolve));
  const held = new Set();
  silent.on("connection", (socket) => held.add(socket));
  const hub = `ws://127.0.0.1:${silent.address().port}`;
  const bus = createBus("shop", { hub, limits: { verb_timeout_ms: 300 } });
  t.after(async () => {
    await bus.close();
    for (const socket of held) socket.destroy();
    silent.close();
  });
  const told = [];
  bus.addEventListener("error", ({ detail }) => told.push(detail));
  for (let next = 0; next < 10; next += 1) bus.topic("a").post(next);
  await until(() => told.some(({ code }) => code === "TIMEOUT"));
  const [error, ...more] = told.filter(({ code }) => code === "TIMEOUT");
  assert.deepEqual([error.maybeExecuted, more.length], [true, 0]);
  assert.match(error.message, /publish "a": 10 have no answer within 300 ms/);
});
