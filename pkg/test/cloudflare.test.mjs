// A hub in Durable Objects, in workerd.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";

import { isTabmqError } from "tabmq";

import { connectTo, rawSocket, startWorker } from "./cloudflare.mjs";
import { take } from "./helpers.mjs";
import { post } from "./hub-server.mjs";

/** One runtime for the tests that need no other; each has a bus of its own. */
let shared;
const stops = [];
before(async () => {
  shared = await startWorker({ after: (stop) => stops.push(stop) });
});
after(() => Promise.all(stops.map((stop) => stop())));

const two = (t, ...names) => Promise.all(names.map((name) => connectTo(t, shared.url, name)));

test("cloudflare: a queue: sent, processed and told", async (t) => {
  const [near, far] = await two(t, "queue", "queue");
  far.queue("jobs").process(({ body }) => body * 2);
  const receipt = await near.queue("jobs").send(21, { confirm: "processed" });
  assert.equal(receipt.stored.at, "hub");
  assert.equal(receipt.stored.durability, "relaxed");
  assert.equal(await receipt.processed(), 42);
  assert.deepEqual([near.host.get().kind, near.host.get().fenced], ["hub", true]);
});

test("cloudflare: live messages and calls pass between clients", async (t) => {
  const [near, far] = await two(t, "live", "live");
  const prices = far.subscribe("price.*");
  await prices.ready();
  await near.publish("price.tea", 3);
  const [{ topic, body }] = await take(prices, 1);
  assert.deepEqual([topic, body], ["price.tea", 3]);
  await far.serve("sums", { add: (a, b) => a + b }).ready();
  assert.equal(await near.call("sums", "add", [2, 3]), 5);
});

test("cloudflare: a bus is an object: others hear nothing of it", async (t) => {
  const [one, other] = await two(t, "one", "other");
  await one.queue("q").send("here", { confirm: "hub" });
  assert.equal((await one.queue("q").info()).ready, 1);
  await assert.rejects(other.queue("q").info(), { code: "NOT_FOUND" });
});

test("cloudflare: the largest message lies in several rows and comes back", async (t) => {
  const bus = await connectTo(t, shared.url, "large");
  const body = new Uint8Array(1_048_500).map((_, at) => at * 31);
  // One batch is one chunk of the log.
  const strict = { durability: "strict" };
  const receipts = await bus.queue("q").sendBatch([{ body }, { body }, { body }], strict);
  assert.deepEqual(receipts.map(({ stored }) => stored.durability), Array(3).fill("strict"));
  // What is in memory is gone.
  await shared.evict("large");
  const deliveries = await take(bus.queue("q").consume({ prefetch: 3 }), 3);
  for (const delivery of deliveries) assert.deepEqual(delivery.body, body);
  const error = await bus.queue("q").send(new Uint8Array(1_048_577)).catch((thrown) => thrown);
  assert.ok(isTabmqError(error, "TOO_LARGE"));
});

test("cloudflare: what is posted is stored, and refused as at any hub", async (t) => {
  const bus = await connectTo(t, shared.url, "http");
  await bus.queue("orders", { dedupe: "2m" }).ready();
  const json = { "content-type": "application/json" };
  const to = (path, body, headers) => post(`${shared.http}/mq/http/${path}`, body, headers);
  const first = await to("queues/orders?id=7", '{"tea":2}', json);
  assert.deepEqual([first.status, first.json.id], [202, "7"]);
  assert.deepEqual(first.json.stored, { at: "hub", durability: "relaxed", persisted: true });
  assert.equal((await to("queues/orders?id=7", '{"tea":2}', json)).status, 200);
  const heard = bus.subscribe("price.#");
  await heard.ready();
  assert.equal((await to("topics/price.tea", "3", json)).status, 202);
  assert.equal((await take(heard, 1))[0].body, 3);
  assert.equal((await to("queues/orders?dely=5s", "1", json)).json.code, "INVALID");
  assert.equal((await to("queues/orders", "{", json)).json.code, "INVALID");
  assert.equal((await to("queues/orders", "x".repeat(1_048_577))).status, 413);
  assert.equal((await to("nowhere/orders", "1")).status, 404);
  const long = "n".repeat(256);
  assert.equal((await post(`${shared.http}/mq/${long}/queues/q`, "1")).json.code, "INVALID");
  assert.equal((await bus.queue("orders").info()).ready, 1, "and nothing else was stored");
  const health = await fetch(`${shared.http}/mq/health`);
  assert.deepEqual(await health.json(), { status: "ok" });
  assert.equal((await fetch(`${shared.http}/mq/metrics`)).status, 404);
});

test("cloudflare: what is no client is turned away and disturbs nobody", async (t) => {
  const bus = await connectTo(t, shared.url, "strangers");
  assert.equal(await rawSocket(`${shared.url}/strangers`, ["other"]).status, 400);
  assert.equal(await rawSocket(`${shared.url}/`, ["tabmq"]).status, 404);
  const origin = { origin: "https://elsewhere.example" };
  assert.equal(await rawSocket(`${shared.url}/strangers`, ["tabmq"], origin).closed, 4013);
  assert.equal(await rawSocket(`${shared.url}/${"n".repeat(256)}`).closed, 4003);
  const answers = async (message) => {
    const { socket, opened, closed } = rawSocket(`${shared.url}/strangers`);
    await opened;
    socket.send(message);
    return closed;
  };
  assert.equal(await answers("text"), 4023);
  assert.equal(await answers(Buffer.alloc(100, 7)), 4023);
  assert.equal(await answers(Buffer.alloc(1_200_000)), 4015);
  const probe = rawSocket(`${shared.url}/strangers`);
  await probe.opened;
  probe.socket.send("ping");
  const [pong] = await once(probe.socket, "message");
  assert.equal(String(pong), "pong");
  probe.socket.close();
  await bus.queue("q").send(1, { confirm: "hub" });
  assert.equal((await bus.queue("q").info()).ready, 1);
});
