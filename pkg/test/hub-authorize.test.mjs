// Who may come in at a hub, what they may do there, and for how long.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";

import { createBus } from "tabmq";
import { createHub } from "tabmq/node";

import { until } from "./helpers.mjs";
import { openHub, post } from "./hub-server.mjs";

const GRANTS = {
  ann: { user: "ann", publish: ["orders.#"], subscribe: ["price.*"], call: ["calc"] },
  worker: { user: "worker", consume: ["orders.#"], serve: ["calc"], publish: ["price.#"] },
  between: { user: "between", publish: ["a.#.b.#"] },
  boss: { user: "boss", publish: ["#"], consume: ["#"], subscribe: ["#"], admin: true },
};

/** A hub that knows these users by their names. */
function openGranting(t, grants = GRANTS, options = {}) {
  const asked = [];
  const authorize = (request, context) => {
    asked.push([new URL(request.url).pathname, context]);
    const grant = grants[context.token];
    if (!grant) throw new Error("who is that?");
    return typeof grant === "function" ? grant() : grant;
  };
  return openHub(t, { authorize, metrics: true, ...options }).then((hub) => ({ ...hub, asked }));
}

/** Each is a client of its own, though all are in one process. */
function enter(t, url, token, options = {}) {
  const bus = createBus("shop", { hub: { url, token }, user: `${token}`, ...options });
  t.after(() => bus.close());
  return bus;
}

test("authorize: is asked with the request, the bus, the token and the environment", async (t) => {
  const { url, http, asked } = await openGranting(t);
  await enter(t, url, "ann").ready();
  await post(`${http}/shop/queues/orders.new`, "x", { authorization: "Bearer ann" });
  const context = { bus: "shop", token: "ann", renewal: false };
  assert.deepEqual(
    asked.map(([path, { env, ...rest }]) => [path, rest, env === process.env]),
    [
      ["/shop", context, true],
      ["/shop/queues/orders.new", context, true],
    ],
  );
});

test("authorize: has the env that a server hands over, or did for the socket", async (t) => {
  const asked = [];
  const authorize = (_, { token, renewal, env }) => {
    asked.push([token, renewal, env.secret]);
    return { ...GRANTS.ann, ...(token === "1" && { expires: new Date(Date.now() + 2500) }) };
  };
  const hub = createHub({ authorize });
  const server = createServer();
  server.on("upgrade", (request, socket, head) =>
    hub.upgrade(request, socket, head, { secret: "of the socket" }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    await hub.close();
    server.close();
  });
  let given = 0;
  const token = () => `${(given += 1)}`;
  await enter(t, `ws://127.0.0.1:${server.address().port}`, token).ready();
  const renewed = asked.length;
  const raw = new Request("http://hub.test/shop/queues/orders.new", { method: "POST", body: "x" });
  assert.equal((await hub.fetch(raw, { secret: "of the request" })).status, 202);
  await until(() => asked.length === renewed + 2);
  assert.deepEqual(asked, [
    ["1", false, "of the socket"],
    [undefined, false, "of the request"],
    ["2", true, "of the socket"],
  ]);
});

test("authorize: who is refused hears of it at once, and nothing is opened", async (t) => {
  const { url, hub, log } = await openGranting(t);
  for (const token of ["eve", () => "eve", undefined]) {
    const error = await enter(t, url, token).ready().catch((reason) => reason);
    assert.equal(error.code, "NOT_AUTHORIZED");
    assert.doesNotMatch(error.message, /who is that/);
  }
  await until(() => hub.sockets === 0);
  assert.ok(!log.some(({ event }) => event === "bus-opened"));
});

test("authorize: each may do what is granted, and nothing else", async (t) => {
  const { url } = await openGranting(t);
  const [ann, worker] = [enter(t, url, "ann"), enter(t, url, "worker")];
  const heard = [];
  ann.subscribe("#", ({ topic }) => heard.push(topic));
  await ann.ready();
  worker.serve("calc", { add: (a, b) => a + b });
  worker.queue("orders.new").process(({ body }) => `${body} done`);
  const receipt = await ann.queue("orders.new").send("tea", { confirm: "processed" });
  assert.equal(await receipt.processed(), "tea done");
  assert.equal(await ann.client("calc").add(2, 3), 5);
  await worker.publish("price.tea", 1);
  await worker.publish("price.tea.eu", 2);
  await worker.publish("price.milk", 3);
  await until(() => heard.length === 2);
  assert.deepEqual(heard, ["price.tea", "price.milk"]);
  const refused = { code: "NOT_AUTHORIZED" };
  await assert.rejects(ann.queue("stock").send(1, { confirm: "hub" }), refused);
  await assert.rejects(ann.queue("orders.new").purge(), refused);
  await assert.rejects(ann.queue("orders.new").consume().ready(), refused);
  await assert.rejects(ann.serve("calc", { add: () => 0 }).ready(), refused);
  await assert.rejects(Promise.resolve(worker.client("other").add(1, 1)), refused);
  await assert.rejects(worker.admin.list()[Symbol.asyncIterator]().next(), refused);
});

test("authorize: a connection that expires comes back with another token", async (t) => {
  let given = 0;
  const { url } = await openGranting(t, {
    first: () => ({ ...GRANTS.ann, expires: new Date(Date.now() + 300) }),
    second: GRANTS.ann,
  });
  const token = () => ["first", "second"][Math.min((given += 1), 2) - 1];
  const bus = createBus("shop", { hub: { url, token } });
  t.after(() => bus.close());
  await bus.ready();
  await until(() => given >= 2 && bus.status.get() === "ready");
  assert.equal((await bus.queue("orders.new").send(1, { confirm: "hub" })).stored.at, "hub");
});

test("authorize: holds for plain requests as well", async (t) => {
  const { http } = await openGranting(t);
  const as = (token) => ({ authorization: `Bearer ${token}` });
  const status = async (path, token) => (await post(`${http}${path}`, "x", as(token))).status;
  assert.equal(await status("/shop/queues/orders.new", "ann"), 202);
  assert.equal(await status("/shop/queues/stock", "ann"), 403);
  assert.equal(await status("/shop/topics/price.tea", "ann"), 403);
  assert.equal(await status("/shop/topics/price.tea.eu", "worker"), 202);
  assert.equal(await status("/shop/queues/orders.new", "eve"), 403);
  assert.equal(await status("/shop/queues/$tabmq.x", "boss"), 403);
  assert.equal(await status("/shop/queues/a.x.y.b.z", "between"), 202);
  assert.equal(await status("/shop/queues/a.b", "between"), 202);
  assert.equal(await status("/shop/queues/a.x.y", "between"), 403);
  const metrics = async (token) => (await fetch(`${http}/metrics`, { headers: as(token) })).status;
  assert.deepEqual([await metrics("ann"), await metrics("boss")], [403, 200]);
});

test("authorize: what is no grant lets nobody in, and says so to the hub", async (t) => {
  const { url, log } = await openGranting(t, {
    a: { user: "", publish: ["#"] },
    b: { user: "b", publish: "#" },
    c: { user: "c", publich: ["#"] },
    d: { user: "d", publish: ["a..b"] },
  });
  for (const token of ["a", "b", "c", "d"]) {
    const bus = enter(t, url, token);
    const error = await bus.ready({ timeout: 300 }).catch((reason) => reason);
    assert.equal(error.code, "TIMEOUT", token);
  }
  const words = ["user", "publish", "publich", "publish"];
  const failed = () => log.filter(({ event }) => event === "authorize-failed");
  await until(() => failed().length >= words.length);
  const failures = failed();
  assert.ok(failures.every(({ bus, level }) => bus === "shop" && level === "error"));
  for (const word of words) assert.ok(failures.some(({ message }) => message.includes(word)), word);
  assert.throws(() => createHub({ authorize: "everybody" }), { code: "INVALID" });
});
