// A bus at a hub: who reaches it, what is told when it can't be, and other doors.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { test } from "node:test";

import { connect } from "tabmq";
import { createHub, serveHub } from "tabmq/node";
import { WebSocket, WebSocketServer } from "ws";

import { temporaryFolder } from "./files.mjs";
import { deferred, events, until } from "./helpers.mjs";
import { clientOf, connectHub, freePort, hubProcess, Network, openHub } from "./hub.mjs";

/** What becomes of a socket that is opened by hand. */
function dial(url, { protocols = ["tabmq"], ...options } = {}) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, protocols, options);
    socket.on("unexpected-response", async (_, response) => {
      let text = "";
      for await (const part of response) text += part;
      resolve({ status: response.statusCode, text });
    });
    socket.on("error", () => {});
    socket.on("close", (code, reason) => resolve({ code, text: String(reason) }));
  });
}

/** How a bus that is not reached says so. */
async function refusal(t, hub, options) {
  const bus = clientOf(t, hub, "shop", options);
  t.mock.method(console, "error", () => {});
  const told = [];
  bus.addEventListener("error", ({ detail }) => told.push(detail));
  bus.ready().catch(() => {});
  // Before that it is not known why.
  await until(() => bus.status.get() === "offline" || told.length > 0);
  const error = await bus.ready({ timeout: 700 }).catch((reason) => reason);
  return { bus, error, told };
}

test("hub: an address where nobody listens is offline, and told with its reason", async (t) => {
  const url = `ws://127.0.0.1:${await freePort()}`;
  const { bus, error } = await refusal(t, url);
  assert.equal(error.code, "TIMEOUT");
  assert.equal(error.data.reason, "hub");
  assert.match(error.message, /within 700 ms; of the hub: ws:\/\/127\S+\/shop: /);
  if (!globalThis.WebSocket) assert.match(error.message, /ECONNREFUSED/);
  assert.equal(bus.status.get(), "offline");
  const sent = bus.queue("q").send(1, { confirm: "hub", timeout: 300 });
  await assert.rejects(sent, { code: "TIMEOUT", data: { reason: "hub" }, maybeExecuted: true });
  await bus.close();
  assert.equal(bus.status.get(), "closed");
});

test("hub: connect gives a bus though the hub is away, which takes what is sent", async (t) => {
  const port = await freePort();
  const bus = await connect("shop", { hub: `ws://127.0.0.1:${port}` });
  t.after(() => bus.close());
  assert.equal(bus.status.get(), "offline");
  const receipt = await bus.queue("q").send("early", { track: true });
  assert.equal(receipt.stored.at, "device");
  const hub = createHub();
  const served = await serveHub({ hub, port });
  t.after(() => served.close());
  const own = await hub.bus("shop");
  own.queue("q").process(({ body }) => `${body} enough`);
  assert.equal(await receipt.processed(), "early enough");
});

test("hub: a question that waits for the hub holds up nothing that is sent after it", async (t) => {
  const bus = await connect("shop", { hub: `ws://127.0.0.1:${await freePort()}` });
  t.after(() => bus.close());
  const jobs = bus.queue("jobs", { lease: "10s" });
  const asked = assert.rejects(jobs.info({ timeout: "10s" }), { code: "CLOSED" });
  assert.equal((await jobs.send("late", { timeout: "5s" })).stored.at, "device");
  await bus.close();
  await asked;
});

test("hub: a server that is none is told with what it answers", async (t) => {
  const server = http.createServer((_, response) => response.writeHead(404).end("no"));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { bus, error } = await refusal(t, `http://127.0.0.1:${server.address().port}/some/where`);
  assert.equal(error.code, "TIMEOUT");
  if (!globalThis.WebSocket) assert.match(error.message, /some\/where\/shop: .*404/);
  assert.equal(bus.status.get(), "offline");
});

test("hub: a WebSocket server that speaks another protocol is none", async (t) => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  t.after(() => server.close());
  server.on("connection", (socket) => socket.on("error", () => {}).send("hello"));
  const { bus, error } = await refusal(t, `ws://127.0.0.1:${server.address().port}`, {
    limits: { node_silence_ms: 100 },
  });
  assert.deepEqual([error.code, bus.status.get()], ["TIMEOUT", "offline"]);
});

test("hub: a server that takes sockets and says nothing is left for the next door", async (t) => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  t.after(() => {
    server.clients.forEach((client) => client.terminate());
    server.close();
  });
  const { url } = await openHub(t);
  const doors = { url: [`ws://127.0.0.1:${server.address().port}`, url] };
  const limits = { node_silence_ms: 100 };
  const bus = await connectHub(t, doors, "shop", undefined, { limits });
  assert.equal((await bus.queue("q").send(1, { confirm: "hub" })).stored.at, "hub");
});

test("hub: wrong addresses are refused at once", async () => {
  const bad = ["", "shop", "ftp://a", "ws://", "ws://a?b=1", "ws://a#b", "ws://u:p@a", 7, [], {}];
  for (const hub of [...bad, { url: [] }, { url: ["ws://a", 7] }, { url: "ws://a", door: 1 }]) {
    await assert.rejects(connect("shop", { hub }), { code: "INVALID" }, JSON.stringify(hub));
  }
});

test("hub: what a socket does wrong is answered", async (t) => {
  const { url } = await openHub(t);
  const [bad_text, bad_bytes] = ["text", Buffer.from("garbage")];
  const say = (what) =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${url}/shop`, ["tabmq"]);
      socket.on("open", () => socket.send(what));
      socket.on("error", () => {});
      socket.on("close", (code) => resolve(code));
    });
  assert.deepEqual([await say(bad_text), await say(bad_bytes)], [4023, 4023]);
  assert.equal(await say(Buffer.alloc(4 << 20)), 1009);
  assert.equal((await dial(`${url}/`)).status, 404);
  assert.equal((await dial(`${url}/%ff`)).status, 404);
  assert.deepEqual(await dial(`${url}/shop`, { protocols: ["mqtt"] }), {
    status: 400,
    text: 'the subprotocol "tabmq" is not offered\n',
  });
  assert.equal((await dial(`${url}/shop`, { protocols: [] })).status, 400);
  const strange = await dial(`${url}/shop`, { origin: "https://evil.example" });
  assert.deepEqual(strange, {
    code: 4013,
    text: "this origin is not among the option origins of the hub",
  });
  assert.equal((await dial(`${url}/${"x".repeat(300)}`)).code, 4003);
  assert.equal((await fetch(url.replace("ws", "http"))).status, 404);
});

test("hub: a refusal that lasts ends the wait, and is told once", async (t) => {
  const { url } = await openHub(t);
  const waits = clientOf(t, url, "x".repeat(300));
  const error = await waits.ready().catch((reason) => reason);
  assert.equal(error.code, "INVALID");
});

test("hub: one that is full says so to the next, who comes in when there is room", async (t) => {
  const { url } = await openHub(t, { limits: { sessions_max: 2 } });
  const first = await connectHub(t, url, "shop");
  const { bus, error, told } = await refusal(t, url);
  assert.deepEqual([error.code, error.data.reason], ["TIMEOUT", "hub"]);
  assert.deepEqual(told.map(({ code, data }) => [code, data.reason]), [["FULL", "hub"]]);
  await first.close();
  await bus.ready();
});

test("hub: a body that is too long is refused before it is sent, and by the hub", async (t) => {
  const { url } = await openHub(t, { limits: { body_bytes_max: 1000 } });
  const bus = await connectHub(t, url, "shop");
  const long = "x".repeat(2000);
  await assert.rejects(bus.queue("q").send(long), { code: "TOO_LARGE" });
  await assert.rejects(bus.publish("x", long), { code: "TOO_LARGE" });
  // One that has not heard of the bound yet.
  const eager = clientOf(t, url, "shop");
  const patience = { confirm: "hub" };
  const early = eager.queue("q").send(long, patience).catch((reason) => reason);
  const body = "y".repeat(1 << 19);
  const published = eager.publish("x", body).catch((reason) => reason);
  assert.equal((await early).code, "TOO_LARGE");
  assert.equal((await published).code, "TOO_LARGE");
  await eager.queue("q").send("short", { confirm: "hub" });
});

test("hub: it confirms who asks it to, and the device everybody else", async (t) => {
  const network = await Network.start(t, (await openHub(t)).port);
  const few = { limits: { outbox_after_ms: 0 } };
  const bus = await connectHub(t, network.url, "shop", undefined, few);
  const jobs = bus.queue("q");
  assert.equal((await jobs.send(1, { confirm: "hub" })).stored.at, "hub");
  // Else the hub could be the first to answer.
  network.stall();
  const kept = await jobs.send(2);
  assert.equal(kept.stored.at, "device");
  network.flow();
  await until(async () => (await jobs.info()).ready === 2);
  const found = await jobs.receive({ max: 2 });
  assert.deepEqual([found[1].id, found.map(({ body }) => body)], [kept.id, [1, 2]]);
});

test("hub: the second door is found, and found again when the hub moves", async (t) => {
  const storage = temporaryFolder(t);
  const [dead, moved] = [await freePort(), await freePort()];
  let hub = await hubProcess(t, { storage });
  const doors = { url: [dead, hub.port, moved].map((port) => `ws://127.0.0.1:${port}`) };
  const bus = await connectHub(t, doors, "shop");
  await bus.queue("q").send(1, { confirm: "hub" });
  const statuses = [];
  bus.addEventListener("status", ({ detail }) => statuses.push(detail));
  await hub.kill();
  const sent = bus.queue("q").send(2, { confirm: "hub" });
  await until(() => bus.status.get() === "offline");
  hub = await hubProcess(t, { storage }, moved);
  await sent;
  assert.deepEqual([bus.status.get(), (await bus.queue("q").info()).ready], ["ready", 2]);
  assert.deepEqual(statuses, ["connecting", "offline", "ready"]);
});

test("hub: one in memory that begins anew is followed, again and again", async (t) => {
  const port = await freePort();
  const url = `ws://127.0.0.1:${port}`;
  const open = async () => {
    const hub = createHub();
    return serveHub({ hub, port });
  };
  let served = await open();
  t.after(() => served.close());
  const bus = await connectHub(t, url, "shop");
  for (let round = 0; round < 5; round += 1) {
    const heard = deferred();
    const subscription = bus.subscribe("x", ({ body }) => heard.resolve(body));
    await subscription.ready();
    const own = await served;
    await bus.publish("x", round);
    assert.equal(await heard.promise, round);
    await subscription.close();
    const lost = events(bus, "status");
    await own.close();
    await lost;
    served = await open();
    await bus.ready();
  }
});

test("hub: it closes at once though a client reads nothing", async (t) => {
  const hub = createHub();
  const served = await serveHub({ hub });
  const network = await Network.start(t, served.port);
  await connectHub(t, network.url, "shop");
  network.stall();
  const before = performance.now();
  await served.close();
  assert.ok(performance.now() - before < 5000);
  await assert.rejects(hub.bus("shop"), { code: "CLOSED" });
});

test("hub: a bus that its server code closed is opened anew for the next", async (t) => {
  const { url, hub } = await openHub(t);
  const bus = await connectHub(t, url, "shop");
  const lost = events(bus, "status");
  await (await hub.bus("shop")).close();
  await lost;
  await bus.ready();
  const own = await hub.bus("shop");
  await own.queue("q").send(1);
  assert.equal((await bus.queue("q").info()).ready, 1);
});

test("hub: sockets that say nothing or whose other side is gone are dropped", async (t) => {
  const { url, port, hub } = await openHub(t, { limits: { socket_silence_ms: 200 } });
  assert.equal((await dial(`${url}/shop`)).code, 1006);
  const network = await Network.start(t, port);
  const bus = await connectHub(t, network.url, "shop");
  const own = await hub.bus("shop");
  const served = bus.serve("far", { id: (value) => value });
  await served.ready();
  assert.equal(await own.call("far", "id", [1]), 1);
  // It lives on while others are dropped that do not answer.
  for (let count = 0; count < 3; count += 1) await dial(`${url}/shop`);
  assert.equal(bus.status.get(), "ready");
  network.stall();
  const error = await own.call("far", "id", [2], { timeout: 5000 }).catch((reason) => reason);
  assert.ok(["PEER_LOST", "UNAVAILABLE", "TIMEOUT"].includes(error.code), error.code);
});
