// What a hub answers to plain HTTP requests, over real sockets.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { test } from "node:test";

import { createHub } from "tabmq/node";

import { take } from "./helpers.mjs";
import { connectTo, openHub, post } from "./hub-server.mjs";
import { internals } from "./internals.mjs";

const { CODES, failure, TabmqError } = internals;

const JSON_TYPE = { "content-type": "application/json" };

test("http: a post to a queue is a send, with a receipt", async (t) => {
  const { http, url } = await openHub(t);
  const bus = await connectTo(t, url);
  const query = "id=order-1&key=k&header.Region=eu";
  const sent = await post(`${http}/shop/queues/orders?${query}`, '{"total":3}', JSON_TYPE);
  assert.equal(sent.status, 202);
  assert.equal(sent.headers.get("content-type"), "application/json");
  const stored = { at: "hub", durability: "memory", persisted: false };
  assert.deepEqual(sent.json, { id: "order-1", duplicate: false, stored });
  const [delivery] = await bus.queue("orders").receive();
  assert.deepEqual(delivery.body, { total: 3 });
  assert.deepEqual(delivery.headers, { Region: "eu" });
  assert.deepEqual([delivery.id, delivery.key], ["order-1", "k"]);
  await delivery.ack();
});

test("http: a duplicate is told with 200 and the first message", async (t) => {
  const { http, hub } = await openHub(t);
  await (await hub.bus("shop")).queue("orders", { dedupe: "1m" }).ready();
  const first = await post(`${http}/shop/queues/orders?id=a`, "one");
  const second = await post(`${http}/shop/queues/orders`, "two", { "tabmq-id": "a" });
  assert.deepEqual([first.status, second.status], [202, 200]);
  assert.deepEqual([first.json.duplicate, second.json.duplicate], [false, true]);
  assert.equal(typeof second.json.duplicateOf, "number");
});

test("http: options stand in headers as well, and delays are kept", async (t) => {
  const { http, hub } = await openHub(t);
  const queue = (await hub.bus("shop")).queue("orders", { priorities: 4 });
  await queue.ready();
  const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  const headers = {
    "tabmq-priority": "3",
    "tabmq-delay": "1h",
    "tabmq-ttl": "7200000",
    "tabmq-replyto": "answers",
    "tabmq-correlationid": "c1",
    "tabmq-header-region": "eu",
    traceparent,
  };
  assert.equal((await post(`${http}/shop/queues/orders`, "x", headers)).status, 202);
  const [message] = await take(queue.browse({ delayed: true }), 1);
  assert.deepEqual([message.priority, message.state], [3, "delayed"]);
  assert.deepEqual([message.replyTo, message.correlationId], ["answers", "c1"]);
  assert.equal(message.traceparent, traceparent);
  assert.deepEqual(message.headers, { region: "eu" });
  assert.equal(message.expiresAt - message.storedAt, 7_200_000);
  assert.equal(message.dueAt - message.storedAt, 3_600_000);
});

test("http: a body is JSON, text or bytes by its content type", async (t) => {
  const { http, hub } = await openHub(t);
  const queue = (await hub.bus("shop")).queue("orders");
  const bodies = [
    ["application/json; charset=utf-8", '{"__proto__":1}', JSON.parse('{"__proto__":1}')],
    ["application/cloudevents+json", "[1]", [1]],
    ["text/plain", "h\u00e9", "h\u00e9"],
    ["text/plain;charset=iso-8859-1", new Uint8Array([0xe9]), "\u00e9"],
    ["application/x-www-form-urlencoded", "a=1", new TextEncoder().encode("a=1")],
    ["image/png", new Uint8Array([1, 2, 3]), new Uint8Array([1, 2, 3])],
    ["", "", new Uint8Array()],
  ];
  for (const [type, body, wanted] of bodies) {
    const sent = await post(`${http}/shop/queues/orders`, body, { "content-type": type });
    assert.equal(sent.status, 202, type);
    const [delivery] = await queue.receive();
    assert.deepEqual(delivery.body, wanted, type);
    await delivery.ack();
  }
});

test("http: a post to a topic reaches subscribers, below any base", async (t) => {
  const { http, url } = await openHub(t);
  const bus = await connectTo(t, url, "a shop");
  const subscription = bus.subscribe("price.*");
  await subscription.ready();
  const sent = await post(`${http}/mq/v1/a%20shop/topics/price.eu?key=k`, "3", JSON_TYPE);
  assert.deepEqual([sent.status, sent.json], [202, { at: "hub" }]);
  const [message] = await take(subscription, 1);
  assert.deepEqual([message.topic, message.body, message.key], ["price.eu", 3, "k"]);
});

test("http: what is not valid is refused with its code, and nothing is stored", async (t) => {
  const { http, hub } = await openHub(t);
  const queue = (await hub.bus("shop")).queue("orders");
  await queue.ready();
  const refused = [
    ["queues/orders?dely=5s", "x", {}, 400, "INVALID"],
    ["queues/orders?delay=soon", "x", {}, 400, "INVALID"],
    ["queues/orders?at=then", "x", {}, 400, "INVALID"],
    ["queues/orders?priority=-1", "x", {}, 400, "INVALID"],
    ["queues/orders?id=a&id=b", "x", {}, 400, "INVALID"],
    ["queues/orders?id=a", "x", { "tabmq-id": "b" }, 400, "INVALID"],
    ["queues/orders", "x", { "tabmq-nonsense": "b" }, 400, "INVALID"],
    ["queues/orders", "x", { traceparent: "none" }, 400, "INVALID"],
    ["queues/orders", "{", JSON_TYPE, 400, "INVALID"],
    ["queues/orders", "", JSON_TYPE, 400, "INVALID"],
    ["queues/orders", new Uint8Array([0xff]), { "content-type": "text/plain" }, 400, "INVALID"],
    ["queues/orders", "x", { "content-type": "text/plain; charset=no" }, 400, "INVALID"],
    ["queues/orders", "x", { "content-encoding": "gzip" }, 415, "UNSUPPORTED"],
    [`queues/${"q".repeat(256)}`, "x", {}, 413, "TOO_LARGE"],
    ["topics/price.*", "x", {}, 400, "INVALID"],
    ["topics/price.eu?delay=5s", "x", {}, 400, "INVALID"],
    ["topics/price.eu?ttl=5s", "x", {}, 501, "UNSUPPORTED"],
  ];
  for (const [path, body, headers, status, code] of refused) {
    const sent = await post(`${http}/shop/${path}`, body, headers);
    assert.deepEqual([sent.status, sent.json.code], [status, code], `${path} ${sent.json.message}`);
    assert.deepEqual(Object.keys(sent.json), ["code", "message", "data"]);
  }
  assert.equal((await queue.info()).sentTotal, 0);
});

test("http: every code has a status, and those that pass say when to try again", async () => {
  for (const code of Object.keys(CODES)) {
    const response = failure(new TabmqError(code, "why", { data: { number: 1n } }));
    assert.ok(response.status >= 400 && response.status < 600, code);
    const json = { code, message: "why", data: { number: "1" } };
    assert.deepEqual(await response.json(), json);
    const again = response.status === 429 || response.status === 503;
    assert.equal(response.headers.has("retry-after"), again, code);
  }
  const told = await failure(new Error("a secret")).json();
  assert.deepEqual(told, { code: "INTERNAL", message: "the hub failed", data: {} });
});

test("http: hubs of one process have buses of their own", async (t) => {
  const [first, second] = [await openHub(t), await openHub(t)];
  for (const { http } of [first, first, second]) await post(`${http}/shop/queues/q`, "x");
  const waiting = async ({ hub }) => (await (await hub.bus("shop")).queue("q").info()).ready;
  assert.deepEqual([await waiting(first), await waiting(second)], [2, 1]);
  const bus = await connectTo(t, second.url);
  assert.equal((await bus.queue("q").info()).ready, 1);
});

test("http: a full queue is told with 429 and when to try again", async (t) => {
  const { http, hub } = await openHub(t);
  await (await hub.bus("shop")).queue("orders", { maxLength: 1 }).ready();
  await post(`${http}/shop/queues/orders`, "x");
  const { status, headers, json } = await post(`${http}/shop/queues/orders`, "y");
  assert.deepEqual([status, json.code, headers.get("retry-after")], [429, "FULL", "1"]);
});

test("http: buses and requests have bounds", async (t) => {
  const { http } = await openHub(t, { limits: { buses_max: 1 } });
  assert.equal((await post(`${http}/one/queues/q`, "x")).status, 202);
  const second = await post(`${http}/two/queues/q`, "x");
  assert.deepEqual([second.status, second.json.data.reason], [429, "buses_max"]);
  const none = await openHub(t, { limits: { http_requests_max: 0 } });
  const refused = await post(`${none.http}/one/queues/q`, "x");
  assert.deepEqual([refused.status, refused.json.data.reason], [429, "http_requests_max"]);
  assert.equal((await fetch(`${none.http}/health`)).status, 200);
});

test("http: a body over the limit is refused while it is read", async (t) => {
  const { http, hub } = await openHub(t, { limits: { body_bytes_max: 1000 } });
  let asked = 0;
  const endless = new ReadableStream({
    pull(controller) {
      asked += 1;
      controller.enqueue(new Uint8Array(600));
    },
  });
  const reading = new Request(`${http}/shop/queues/q`, {
    method: "POST",
    body: endless,
    duplex: "half",
  });
  const refused = await hub.fetch(reading, { incoming: { socket: { localAddress: "127.0.0.1" } } });
  assert.equal(refused.status, 413);
  assert.ok(asked <= 3, `${asked} parts of it were asked for`);
  const declared = await post(`${http}/shop/queues/q`, new Uint8Array(1001));
  assert.deepEqual([declared.status, declared.json.code], [413, "TOO_LARGE"]);
  // The connection goes on after what was not read of it.
  const chunked = new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(5000));
      controller.close();
    },
  });
  const over = await post(`${http}/shop/queues/q`, chunked, {}, { duplex: "half" });
  assert.deepEqual([over.status, over.json.data.reason], [413, "body_bytes_max"]);
  assert.equal((await post(`${http}/shop/queues/q`, new Uint8Array(900))).status, 202);
});

test("http: other methods are refused with the allowed ones, other paths not found", async (t) => {
  const { http } = await openHub(t);
  for (const [method, path, allow] of [
    ["GET", "/shop/queues/q", "POST"],
    ["PUT", "/shop/topics/a", "POST"],
    ["DELETE", "/shop/queues/health", "POST"],
    ["POST", "/health", "GET, HEAD"],
  ]) {
    const response = await fetch(http + path, { method });
    assert.deepEqual([response.status, response.headers.get("allow")], [405, allow], path);
    assert.equal((await response.json()).code, "INVALID");
  }
  for (const path of ["/", "/shop", "/shop/queues", "/shop/queues/", "/shop/queues/%E0", "//"]) {
    const response = await fetch(http + path, { method: "POST", body: "x" });
    assert.deepEqual([response.status, (await response.json()).code], [404, "NOT_FOUND"], path);
  }
  assert.equal((await fetch(`${http}/metrics`)).status, 404, "metrics are an option");
});

test("http: health tells buses and sockets, and HEAD the same without them", async (t) => {
  const { http, url } = await openHub(t);
  const ask = async () => (await fetch(`${http}/mq/health`)).json();
  assert.deepEqual(await ask(), { status: "ok", buses: 0, sockets: 0, failed: 0 });
  await connectTo(t, url);
  assert.deepEqual(await ask(), { status: "ok", buses: 1, sockets: 1, failed: 0 });
  const head = await fetch(`${http}/health`, { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);
});

test("http: pages of other origins are turned away, those that may read answers", async (t) => {
  const shop = "https://shop.example";
  const { http, log } = await openHub(t, { origins: [shop] });
  const refused = await post(`${http}/shop/queues/q`, "x", { origin: "https://other.example" });
  assert.deepEqual([refused.status, refused.json.code], [403, "NOT_AUTHORIZED"]);
  assert.equal(refused.json.data.reason, "origin");
  assert.equal(refused.headers.get("access-control-allow-origin"), null);
  assert.equal(log.at(-1).event, "refused");
  const let_in = await post(`${http}/shop/queues/q`, "x", { origin: shop });
  assert.equal(let_in.status, 202);
  assert.equal(let_in.headers.get("access-control-allow-origin"), shop);
  const asked = { origin: shop, "access-control-request-headers": "content-type,tabmq-id" };
  const first = await fetch(`${http}/shop/queues/q`, { method: "OPTIONS", headers: asked });
  assert.equal(first.status, 204);
  assert.equal(first.headers.get("access-control-allow-methods"), "POST");
  assert.equal(first.headers.get("access-control-allow-headers"), "content-type,tabmq-id");
});

test("http: without authorize a hub answers only who is known to be this machine", async (t) => {
  const hub = createHub();
  const open = createHub({ authorize: "anonymous" });
  t.after(() => Promise.all([hub.close(), open.close()]));
  const from = (localAddress) => ({ incoming: { socket: { localAddress } } });
  const ask = (host, env, of = hub) => of.fetch(new Request(`http://${host}/health`), env);
  assert.equal((await ask("localhost", from("127.0.0.1"))).status, 200);
  assert.equal((await ask("[::1]:8080", from("::1"))).status, 200);
  assert.equal((await ask("localhost", from("192.0.2.1"))).status, 403);
  assert.equal((await ask("localhost", undefined)).status, 403);
  assert.equal((await ask("rebound.example", from("127.0.0.1"))).status, 403);
  assert.equal((await ask("rebound.example", undefined, open)).status, 200);
});

test("http: what a socket says that is no request of the web gets an answer", async (t) => {
  const { served, http } = await openHub(t);
  const say = async (...lines) => {
    const socket = connectSocket(served.port, "127.0.0.1");
    socket.end(`${lines.join("\r\n")}\r\nConnection: close\r\n\r\n`);
    let text = "";
    for await (const chunk of socket) text += chunk;
    return text.split("\r\n")[0];
  };
  const host = `Host: ${new URL(http).host}`;
  assert.equal(await say("GET /health HTTP/1.1", "Host: a b"), "HTTP/1.1 400 Bad Request");
  assert.equal(await say("TRACE /health HTTP/1.1", host), "HTTP/1.1 400 Bad Request");
  assert.equal(await say("GET //evil.example/health HTTP/1.1", host), "HTTP/1.1 200 OK");
});

test("http: closing stores what is under way and lets go of what is not read", async (t) => {
  const { served, hub, http } = await openHub(t);
  const queue = (await hub.bus("shop")).queue("orders");
  await queue.ready();
  const socket = connectSocket(served.port, "127.0.0.1");
  const head = ["POST /shop/queues/orders HTTP/1.1", "Host: localhost", "Content-Length: 10"];
  socket.write(`${head.join("\r\n")}\r\nExpect: 100-continue\r\n\r\n`);
  assert.match(String(await once(socket, "data")), /^HTTP\/1\.1 100 /);
  socket.write("half");
  const others = Array.from({ length: 20 }, () => post(`${http}/shop/queues/orders`, "x"));
  assert.ok((await Promise.all(others)).every(({ status }) => status === 202));
  const [answer] = await Promise.all([once(socket, "data"), served.close()]);
  assert.match(String(answer), /^HTTP\/1\.1 503 [^]*"code":"CLOSED"/);
  const late = new Request(`${http}/shop/queues/orders`, { method: "POST", body: "x" });
  const env = { incoming: { socket: { localAddress: "127.0.0.1" } } };
  assert.equal((await hub.fetch(late, env)).status, 503);
  const health = await hub.fetch(new Request(`${http}/health`), env);
  assert.deepEqual([health.status, (await health.json()).status], [503, "closing"]);
});

test("http: a bus that can't be opened says why, and does not end the hub", async (t) => {
  const error = new Error("no database");
  const start = (_, { name }) => {
    if (name === "broken") throw error;
  };
  const { http, log } = await openHub(t, { start });
  const told = t.mock.method(console, "error", () => {});
  const broken = await post(`${http}/broken/queues/q`, "x");
  const wanted = { code: "INTERNAL", message: "the hub failed", data: {} };
  assert.deepEqual([broken.status, broken.json], [500, wanted]);
  assert.deepEqual(told.mock.calls[0].arguments, [error]);
  const failed = log.find(({ event }) => event === "bus-failed");
  assert.deepEqual([failed.bus, failed.message], ["broken", "no database"]);
  assert.equal((await post(`${http}/shop/queues/q`, "x")).status, 202);
});

test("http: hono hands its request over, with the address it has", async (t) => {
  const hub = createHub();
  t.after(() => hub.close());
  const raw = new Request("http://localhost/mq/shop/queues/q", { method: "POST", body: "x" });
  const env = { incoming: { socket: { localAddress: "::ffff:127.0.0.1" } }, outgoing: {} };
  const { fetch: answer } = hub;
  assert.equal((await answer(raw, env)).status, 202);
});
