// Hubs that are killed, and networks that cut, stall and flood.
import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";

import { WebSocket } from "ws";

import { temporaryFolder } from "./files.mjs";
import { events, until } from "./helpers.mjs";
import { connectHub, hubProcess, Network, openHub } from "./hub.mjs";

const KILLS = Number(process.env.TABMQ_HUB_KILLS ?? 10);
const KEYS = 4;
const IN_FLIGHT = 8;

/** Sends numbers until it is told to stop; `confirmed` has those that the hub has stored. */
function produce(bus, producer, confirmed, failures) {
  const queue = bus.queue("jobs", { order: "key" });
  let next = 0;
  const stop = new AbortController();
  const send = async () => {
    while (!stop.signal.aborted) {
      const number = next++;
      const id = `${producer}:${number}`;
      const key = `${producer}:${number % KEYS}`;
      try {
        await queue.send({ id, number }, { key, confirm: "hub" });
        confirmed.add(id);
      } catch (error) {
        failures.push(error.code);
      }
    }
  };
  const running = Promise.all(Array.from({ length: IN_FLIGHT }, send));
  return () => {
    stop.abort();
    return running;
  };
}

/** Notes what it is given, and says which of it has its acknowledgement. */
function consume(bus, seen) {
  const consumer = bus.queue("jobs", { order: "key" }).consume({ prefetch: 16 });
  const settling = new Set();
  const settle = async (delivery) => {
    const { id, number } = delivery.body;
    assert.ok(!seen.acked.has(id), `${id} came again though it was acknowledged`);
    assert.ok(number >= (seen.last.get(delivery.key) ?? 0), `${id} came after a later one`);
    try {
      await delivery.ack();
      seen.acked.add(id);
      seen.last.set(delivery.key, number);
    } catch (error) {
      // What was stored of the effect is not known: it may come again, and was not acknowledged.
      assert.ok(["STALE_LEASE", "TIMEOUT"].includes(error.code), error.message);
      seen.doubted.add(id);
    }
  };
  const running = (async () => {
    for await (const delivery of consumer) {
      const settled = settle(delivery).finally(() => settling.delete(settled));
      settling.add(settled);
      settled.catch((error) => seen.faults.push(error.message));
    }
    await Promise.allSettled(settling);
  })();
  return async () => {
    await consumer.close();
    await running;
  };
}

test("hub: it is killed under load again and again: nothing lost, done twice or out of order", {
  timeout: 60_000 + 6_000 * KILLS,
}, async (t) => {
  const storage = temporaryFolder(t);
  let hub = await hubProcess(t, { storage });
  const bus = () => connectHub(t, hub.url, "shop");
  const clients = await Promise.all([bus(), bus(), bus(), bus()]);
  const [confirmed, failures] = [new Set(), []];
  const seen = { acked: new Set(), doubted: new Set(), last: new Map(), faults: [] };
  const consumers = clients.slice(2).map((client) => consume(client, seen));
  const sending = clients.slice(0, 2);
  const producers = sending.map((client, at) => produce(client, at, confirmed, failures));
  for (let kill = 0; kill < KILLS; kill += 1) {
    const enough = [confirmed.size + 50 + 37 * (kill % 10), seen.acked.size + 20];
    await until(() => confirmed.size > enough[0] && seen.acked.size > enough[1]);
    await hub.kill();
    hub = await hubProcess(t, { storage }, hub.port);
  }
  await Promise.all(producers.map((stop) => stop()));
  await until(() => [...confirmed].every((id) => seen.acked.has(id) || seen.doubted.has(id)));
  const { ready } = await clients[0].queue("jobs").info();
  await Promise.all(consumers.map((stop) => stop()));
  assert.deepEqual([failures, seen.faults], [[], []]);
  assert.equal(ready, 0, "and nothing waits");
  t.diagnostic(`${KILLS} kills, ${confirmed.size} confirmed, ${seen.doubted.size} doubted`);
});

test("hub: the link is cut at every byte of what answers a send and an acknowledgement", {
  timeout: 60_000,
}, async (t) => {
  const { port, url } = await openHub(t);
  const exchange = async (bus, queue, body) => {
    const [delivery] = await Promise.all([
      queue.next(),
      bus.queue(queue.name).send(body, { confirm: "hub" }),
    ]);
    assert.equal(delivery.body, body);
    await delivery.ack().catch((error) => {
      assert.equal(error.code, "STALE_LEASE");
    });
  };
  const lane = async (first, step) => {
    const network = await Network.start(t, port);
    const name = `lane-${first}`;
    const bus = await connectHub(t, network.url, name);
    const deliveries = bus.queue("q").consume({ prefetch: 1 })[Symbol.asyncIterator]();
    const queue = { name: "q", next: async () => (await deliveries.next()).value };
    await exchange(bus, queue, -1);
    const before = network.came;
    await exchange(bus, queue, -2);
    const bytes = network.came - before;
    for (let offset = first; offset < bytes; offset += step) {
      network.cutAfter = offset + 1;
      await exchange(bus, queue, offset);
      network.cutAfter = Infinity;
    }
    const own = await connectHub(t, url, name);
    assert.equal((await own.queue("q").info()).ready, 0);
    return { bytes, cuts: network.cuts };
  };
  const lanes = 12;
  const done = await Promise.all(Array.from({ length: lanes }, (_, first) => lane(first, lanes)));
  const cuts = done.reduce((sum, lane_done) => sum + lane_done.cuts, 0);
  t.diagnostic(`${cuts} cuts of ${done[0].bytes} bytes`);
  assert.ok(cuts > 100);
});

test("hub: a link that is half open is left by who sends, and by who only listens", async (t) => {
  const { port, url } = await openHub(t);
  const network = await Network.start(t, port);
  const limits = { node_silence_ms: 100 };
  const [far, near] = [
    await connectHub(t, network.url, "shop", undefined, { limits }),
    await connectHub(t, url, "shop"),
  ];
  const heard = [];
  const listens = far.subscribe("x", ({ body }) => heard.push(body));
  await listens.ready();
  network.stall();
  const sent = far.queue("q").send("through", { confirm: "hub" });
  await events(far, "status");
  network.flowAnew();
  await sent;
  // Now it asks for nothing.
  network.stall();
  await near.publish("x", "missed");
  await until(() => far.status.get() === "offline");
  network.flowAnew();
  await far.ready();
  await near.publish("x", "heard");
  await until(() => heard.includes("heard"));
  assert.deepEqual(heard, ["missed", "heard"]);
});

test("hub: who does not read is dropped, costs bounded memory, and hears of the gap", {
  timeout: 60_000,
}, async (t) => {
  const limits = { socket_bytes_max: 1 << 20, repair_bytes_max: 1 << 20 };
  const hub = await hubProcess(t, { limits });
  const network = await Network.start(t, hub.port);
  // What was sent to it lies in the network, and so does the end of its socket: it has to ask.
  const slow = await connectHub(t, network.url, "shop", undefined, {
    limits: { node_silence_ms: 200 },
  });
  const fast = await connectHub(t, hub.url, "shop");
  const rss = () => fast.call("process", "rss", []);
  const gaps = [];
  let last = -1;
  const onGap = (gap) => gaps.push(gap);
  const subscription = slow.subscribe("x", { onGap }, ({ body }) => (last = body.number));
  await subscription.ready();
  const padding = "x".repeat(100_000);
  await fast.publish("x", { number: 0, padding });
  await until(() => last === 0);
  const lost = events(slow, "status");
  const before = await rss();
  network.pauseReaders();
  let most = 0;
  for (let number = 1; number <= 400; number += 1) {
    await fast.publish("x", { number, padding });
    if (number % 20 === 0) most = Math.max(most, (await rss()) - before);
  }
  await lost;
  await slow.ready();
  await fast.publish("x", { number: 401, padding });
  await until(() => last === 401);
  const missed = gaps.reduce((sum, gap) => sum + gap.last - gap.first + 1, 0);
  t.diagnostic(`${most >> 20} MB more, ${missed} missed`);
  assert.ok(missed > 100);
  assert.equal(missed + subscription.stats.delivered, 402);
  assert.ok(most < 100 << 20, `${most} bytes more`);
});

test("hub: a flood of garbage disturbs nobody", { timeout: 60_000 }, async (t) => {
  const { port, url } = await openHub(t);
  const bus = await connectHub(t, url, "shop");
  const statuses = [];
  bus.addEventListener("status", ({ detail }) => statuses.push(detail));
  const garbage = (number) =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${url}/shop`, ["tabmq"]);
      socket.on("error", () => {});
      socket.on("close", (code) => resolve(code));
      socket.on("open", () => {
        const size = (number * 7919) % 100_000;
        if (number % 3 === 0) socket.send("text");
        else socket.send(Buffer.alloc(size, number));
      });
    });
  const noise = () =>
    new Promise((resolve) => {
      const socket = net.connect(port, "127.0.0.1");
      socket.write("\0\xff\r\n\r\n".repeat(99));
      socket.on("error", () => {}).on("close", resolve).resume();
    });
  const flood = Promise.all(Array.from({ length: 300 }, (_, number) => garbage(number)));
  const rest = Promise.all(Array.from({ length: 50 }, noise));
  for (let number = 0; number < 100; number += 1) {
    await bus.queue("q").send(number, { confirm: "hub" });
  }
  const codes = new Set(await flood);
  await rest;
  const protocol = 4023;
  assert.deepEqual([...codes], [protocol]);
  assert.deepEqual(statuses, []);
  assert.equal((await bus.queue("q").info()).ready, 100);
});
