// What one user may take of a hub, and what that does to the others.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { createBus, LIMITS } from "tabmq";
import { createHub, HUB_LIMITS } from "tabmq/node";
import { WebSocket, WebSocketServer } from "ws";

import { SAY, startScript } from "./files.mjs";
import { all, until } from "./helpers.mjs";
import { openHub, post } from "./hub-server.mjs";

const RIGHTS = { publish: ["#"], subscribe: ["#"], consume: ["#"], admin: true };
/** Who knows the name of a user is that user. */
const authorize = (_, { token }) => ({ user: token, ...RIGHTS });
const openLimited = (t, limits) => openHub(t, { authorize, limits });

/** Each is a client of its own, though all are in one process. */
function enter(t, url, token) {
  const bus = createBus("shop", { hub: { url, token }, user: crypto.randomUUID() });
  t.after(() => bus.close());
  return bus;
}

const told = (log, event) => log.filter((entry) => entry.event === event);

test("limits: a user has so many sockets, and one more comes in when one has left", async (t) => {
  const { url, hub, log } = await openLimited(t, { user_sockets_max: 2 });
  const [first, second] = [enter(t, url, "eve"), enter(t, url, "eve")];
  await Promise.all([first.ready(), second.ready()]);
  assert.equal(hub.sockets, 2);
  const socket = new WebSocket(`${url}/shop`, ["tabmq", `tabmq.token.${btoa("eve")}`]);
  const [code, reason] = await once(socket, "close");
  assert.deepEqual([code, String(reason)], [4002, "this user has too many sockets"]);
  const third = enter(t, url, "eve");
  third.ready().catch(() => {});
  // Before that it is not known why.
  await until(() => third.status.get() === "offline");
  const error = await third.ready({ timeout: 500 }).catch((e) => e);
  assert.equal(error.code, "TIMEOUT");
  assert.match(error.message, /too many sockets|FULL/);
  // Others, and other buses of the same user, are as they were.
  await enter(t, url, "ann").ready();
  const limited = told(log, "limited");
  assert.deepEqual([limited[0].limit, limited[0].user, limited[0].level], [
    "user_sockets_max",
    "eve",
    "warn",
  ]);
  const ends = told(log, "disconnected").map((entry) => entry.reason);
  assert.ok(ends.length >= 2 && ends.every((end) => end === "FULL"));
  await first.close();
  await third.ready();
});

test("limits: who floods waits and loses nothing, and others go on", async (t) => {
  // Above all that one who sends one after the other comes to.
  const rate = 1_600_000;
  const { url, log, hub } = await openLimited(t, {
    user_bytes_per_s: rate,
    user_messages_per_s: 1_000_000,
  });
  const [eve, ann] = [enter(t, url, "eve"), enter(t, url, "ann")];
  await Promise.all([eve.ready(), ann.ready()]);
  const [size, count] = [20_000, 400];
  // What was read before the pause took hold: a part of the stream, and what it ends in.
  const credit = 2 * LIMITS.fragment_bytes_max;
  const began = performance.now();
  const flooding = new AbortController();
  const flood = Promise.all(
    Array.from({ length: count }, (_, number) =>
      eve.queue("flood").send({ number, fill: "x".repeat(size) }, { confirm: "hub" }),
    ),
  ).then(() => flooding.abort());
  let slowest_ms = 0;
  let sent = 0;
  while (!flooding.signal.aborted) {
    const before = performance.now();
    await ann.queue("orders").send(sent, { confirm: "hub" });
    slowest_ms = Math.max(slowest_ms, performance.now() - before);
    sent += 1;
  }
  await flood;
  const seconds = (performance.now() - began) / 1000;
  // A second's worth comes at once.
  assert.ok(seconds >= (size * count - credit) / rate - 1, `${seconds} s`);
  // Who waited behind the flood would wait for all of it.
  const others = `${sent} sends, the slowest in ${slowest_ms} ms of ${seconds} s`;
  assert.ok(sent > 20 && slowest_ms < seconds * 500, others);
  const inside = await hub.bus("shop");
  const numbers = (await all(inside.queue("flood").browse())).map(({ body }) => body.number);
  assert.deepEqual(numbers, Array.from({ length: count }, (_, number) => number));
  const limited = told(log, "limited");
  const whys = new Set(limited.map(({ user, limit }) => `${user} ${limit}`));
  assert.deepEqual([...whys], ["eve user_bytes_per_s"]);
  // The log is not flooded: one a second, which says how many there were.
  assert.ok(limited.length >= 1 && limited.length <= seconds + 1, `${limited.length} entries`);
  assert.equal(told(log, "disconnected").length, 0);
});

/** What a client says first on its socket, some 2 kB. */
async function helloOf(t) {
  const server = new WebSocketServer({ port: 0, handleProtocols: () => "tabmq" });
  await once(server, "listening");
  t.after(() => server.close());
  const hub = `ws://127.0.0.1:${server.address().port}`;
  const bus = createBus("shop", { hub, peer: { name: "x".repeat(2000) } });
  t.after(() => bus.close());
  const connected = once(server, "connection");
  bus.ready().catch(() => {});
  const [socket] = await connected;
  const [bytes] = await once(socket, "message");
  socket.terminate();
  return bytes;
}

/** A hub in a process of its own, which tells its memory under the service `process`. */
async function limitedProcess(t) {
  const child = startScript(`${SAY}
    import { createHub, serveHub } from "tabmq/node";
    const all = ["#"];
    const rights = { publish: all, subscribe: all, consume: all, serve: all, call: all };
    const authorize = (_, { token }) => ({ user: token, ...rights });
    const start = (bus) => bus.serve("process", { rss: () => process.memoryUsage().rss });
    const limits = { user_messages_per_s: 1000, user_bytes_per_s: 65_536 };
    const served = await serveHub({ hub: createHub({ authorize, start, limits }) });
    say(served.url);`);
  t.after(child.kill);
  return child.line();
}

test("limits: a flood that no client of ours would send costs bounded memory", async (t) => {
  const [hello, url] = [await helloOf(t), await limitedProcess(t)];
  const ann = enter(t, url, "ann");
  const rss = () => ann.call("process", "rss", []);
  const before = await rss();
  const flood = new WebSocket(`${url}/shop`, ["tabmq", `tabmq.token.${btoa("eve")}`]);
  flood.on("error", () => {});
  await once(flood, "open");
  // The hub answers each of them.
  for (let count = 0; count < 30_000; count += 1) flood.send(hello);
  const waiting = flood.bufferedAmount;
  assert.ok(waiting > 20_000_000, `${waiting} bytes`);
  for (let number = 0; number < 200; number += 1) {
    const began = performance.now();
    await ann.queue("orders").send(number, { confirm: "hub" });
    // All of the flood would take a quarter of an hour.
    assert.ok(performance.now() - began < 10_000);
  }
  const grown = (await rss()) - before;
  assert.ok(grown < 50_000_000, `${grown} bytes`);
  assert.equal(flood.readyState, WebSocket.OPEN);
  assert.ok(flood.bufferedAmount > waiting / 2, `${flood.bufferedAmount} of ${waiting} bytes`);
  flood.terminate();
});

test("limits: messages of a user are counted over all its sockets", async (t) => {
  const rate = 1000;
  const { url, log } = await openLimited(t, { user_messages_per_s: rate });
  const buses = [enter(t, url, "eve"), enter(t, url, "eve")];
  const began = performance.now();
  const each = 3000;
  // A live message is confirmed once the hub has heard it. Those of one turn share a message.
  const flood = async (bus) => {
    const heard = [];
    for (let number = 0; number < each; number += 1) {
      heard.push(bus.publish("price.tea", number));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(heard);
  };
  await Promise.all(buses.map(flood));
  const seconds = (performance.now() - began) / 1000;
  const all_seconds = (each * buses.length) / rate;
  // A second's worth comes at once; each by itself would take half as long.
  assert.ok(seconds >= all_seconds - 2, `${seconds} s`);
  const limited = told(log, "limited");
  assert.ok(limited.every(({ limit }) => limit === "user_messages_per_s"));
  // A machine that is slower than the rate does not come to it.
  assert.ok(limited.length > 0 || seconds > all_seconds, `${seconds} s`);
  assert.equal(told(log, "disconnected").length, 0);
});

test("limits: requests of a user are refused with 429, and taken again later", async (t) => {
  const { http, log, hub } = await openLimited(t, { user_bytes_per_s: 65_536 });
  const as = (user) => ({ authorization: `Bearer ${user}` });
  // So long that a second one is too early, however slow this machine is.
  const send = (user) => post(`${http}/shop/queues/orders`, "x".repeat(400_000), as(user));
  assert.equal((await send("eve")).status, 202);
  const { status, json, headers } = await send("eve");
  assert.deepEqual([status, json.code, json.data], [429, "FULL", { reason: "user_bytes_per_s" }]);
  assert.equal(headers.get("retry-after"), "1");
  assert.equal((await send("ann")).status, 202);
  await until(async () => (await send("eve")).status === 202);
  assert.equal(told(log, "limited")[0].user, "eve");
  const inside = await hub.bus("shop");
  assert.equal((await inside.queue("orders").info()).ready, 3);
});

test("limits: those of the hub are told, and each once a second", async (t) => {
  const { http, log } = await openHub(t, { limits: { buses_max: 1, http_requests_max: 0 } });
  for (let count = 0; count < 20; count += 1)
    assert.equal((await post(`${http}/shop/queues/q`, "x")).json.data.reason, "http_requests_max");
  const limited = told(log, "limited");
  assert.deepEqual(limited[0], {
    level: "warn",
    event: "limited",
    limit: "http_requests_max",
    count: 1,
  });
  assert.ok(limited.length < 20);
  const other = await openHub(t, { limits: { buses_max: 1 } });
  assert.equal((await post(`${other.http}/shop/queues/q`, "x")).status, 202);
  assert.equal((await post(`${other.http}/more/queues/q`, "x")).status, 429);
  assert.equal(told(other.log, "limited")[0].limit, "buses_max");
});

test("limits: have defaults, and a rate that is too low is refused", () => {
  const { user_sockets_max, user_bytes_per_s, user_messages_per_s } = HUB_LIMITS;
  assert.deepEqual([user_sockets_max, user_messages_per_s], [100, 10_000]);
  assert.equal(user_bytes_per_s, 16 * 1024 * 1024);
  for (const [name, least] of [["user_bytes_per_s", 65_536], ["user_messages_per_s", 1000]]) {
    createHub({ limits: { [name]: least } });
    assert.throws(() => createHub({ limits: { [name]: least - 1 } }), { code: "INVALID" });
  }
});
