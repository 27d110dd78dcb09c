// A bus of two homes: names that `share` covers live at the hub, and the rest stays on the device.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import { connect } from "tabmq";
import { createHub, serveHub } from "tabmq/node";

import { temporaryFolder } from "./files.mjs";
import { all, events, take, until } from "./helpers.mjs";
import { freePort, openHub } from "./hub.mjs";

const SHARE = ["orders.#"];

/** A bus of two homes at the hub of `url`, for a user of its own. */
async function connectShared(t, url, share = SHARE, options = {}) {
  const bus = await connect("shop", { user: randomUUID(), ...options, hub: { url, share } });
  t.after(() => bus.close());
  return bus;
}

/** A hub over files that can go away and come back at its address. */
async function hubThatReturns(t) {
  const storage = temporaryFolder(t);
  const port = await freePort();
  let served;
  const start = async () => {
    served = await serveHub({ hub: createHub({ storage }), port });
    return served.url;
  };
  const stop = () => served.close();
  const url = await start();
  t.after(stop);
  return { url, start, stop };
}

/** What a promise or a function refuses with. */
async function codeOf(attempt) {
  try {
    await attempt();
  } catch ({ code }) {
    return code;
  }
  return undefined;
}

test("share: names live where the filters say, and the rest on the device", async (t) => {
  const { url, hub } = await openHub(t);
  const own = await hub.bus("shop");
  const bus = await connectShared(t, url);
  assert.deepEqual([bus.name, bus.status.get(), bus.host.get().kind], ["shop", "ready", "inline"]);
  const orders = bus.queue("orders.new");
  const jobs = bus.queue("jobs");
  const at = async (queue) => (await queue.send(1, { confirm: "processed" })).stored.at;
  const kitchen = own.queue("orders.new").process(() => "done");
  const local = jobs.process(() => "done");
  assert.deepEqual([await at(orders), await at(jobs)], ["hub", "device"]);
  assert.deepEqual([(await orders.info()).home, (await jobs.info()).home], ["hub", "device"]);
  assert.deepEqual([(await bus.publish("orders.x", 1)).at, (await bus.publish("x", 1)).at], [
    "hub",
    "device",
  ]);
  const names = async (lists) => (await all(lists)).map(({ name, home }) => [name, home]);
  const [homed, shared] = [["jobs", "device"], ["orders.new", "hub"]];
  assert.deepEqual(await names(bus.admin.list()), [homed, shared]);
  assert.deepEqual(await names(bus.admin.list("orders.#")), [shared]);
  assert.deepEqual((await names(own.admin.list())), [shared]);
  kitchen.close();
  local.close();
});

test("share: services, roles and schedules have the home of their names", async (t) => {
  const { url, hub } = await openHub(t);
  const own = await hub.bus("shop");
  const bus = await connectShared(t, url);
  own.serve("orders.price", { of: (cups) => cups * 3 });
  own.serve("math", { twice: () => "at the hub" });
  const math = bus.serve("math", { twice: (number) => number * 2 });
  await math.ready();
  assert.equal(await bus.client("orders.price").of(2), 6);
  assert.equal(await bus.call("math", "twice", [4]), 8);
  const services = (await all(bus.admin.services())).map(({ name, home }) => [name, home]);
  assert.deepEqual(services, [["math", "device"], ["orders.price", "hub"]]);
  const leaders = [];
  const lead = (from, role, who) => from.lead(role, () => leaders.push(who));
  const roles = [lead(bus, "report", "here"), lead(bus, "orders.report", "there")];
  for (const role of roles) await role.ready();
  const others = [lead(own, "report", "hub"), lead(own, "orders.report", "hub after")];
  await others[0].ready();
  roles[1].close();
  await others[1].ready();
  assert.deepEqual(leaders, ["here", "there", "hub", "hub after"]);
  for (const role of [roles[0], ...others]) role.close();
  await bus.queue("orders.daily").schedule("report", { cron: "@daily" }, 1);
  await bus.queue("daily").schedule("report", { cron: "@daily" }, 1);
  assert.deepEqual((await own.queue("orders.daily").schedules()).map(({ key }) => key), ["report"]);
  assert.deepEqual(await own.queue("daily").schedules(), []);
  assert.equal((await bus.queue("daily").schedules()).length, 1);
});

test("share: a subscription over both homes hears each topic from its home alone", async (t) => {
  const { url, hub } = await openHub(t);
  const own = await hub.bus("shop");
  const bus = await connectShared(t, url);
  const both = bus.subscribe("#");
  const [shared, local] = [bus.subscribe("orders.*"), bus.subscribe("local.*")];
  for (const each of [both, shared, local]) await each.ready();
  const three = take(both, 3);
  await own.publish("local.theirs", "not of this device");
  await own.publish("orders.one", 1);
  await bus.publish("orders.two", 2);
  await bus.publish("local.three", 3);
  assert.deepEqual((await three).map(({ body }) => body).sort(), [1, 2, 3]);
  assert.deepEqual((await take(shared, 2)).map(({ body }) => body).sort(), [1, 2]);
  assert.deepEqual((await take(local, 1)).map(({ body }) => body), [3]);
  const heard = [];
  const topic = bus.topic("orders.four").subscribe(({ body }) => heard.push(body));
  await topic.ready();
  await own.publish("orders.four", 4);
  await until(() => heard.length);
  assert.deepEqual(heard, [4]);
  topic.close();
});

test("share: a subscription over both homes closes at both, and hears no more", async (t) => {
  const { url, hub } = await openHub(t);
  const own = await hub.bus("shop");
  const bus = await connectShared(t, url);
  const heard = [];
  const both = bus.subscribe("#", ({ topic }) => heard.push(topic));
  await both.ready();
  await bus.publish("local", 1);
  await own.publish("orders.one", 1);
  await until(() => heard.length === 2);
  both.close();
  assert.equal(both.closed.aborted, true);
  const witness = bus.subscribe("orders.*");
  await witness.ready();
  await own.publish("orders.two", 2);
  await bus.publish("local", 2);
  await take(witness, 1);
  assert.deepEqual(heard.sort(), ["local", "orders.one"]);
});

test("share: advisories of both homes come to a subscription below $tabmq", async (t) => {
  const { url } = await openHub(t);
  const bus = await connectShared(t, url);
  const deleted = bus.subscribe("$tabmq.queue.deleted.#");
  await deleted.ready();
  for (const name of ["orders.old", "old"]) {
    await bus.queue(name).send(1);
    await bus.flush();
    assert.equal(await bus.queue(name).delete(), 1);
  }
  const queues = (await take(deleted, 2)).map(({ body }) => body.queue);
  assert.deepEqual(queues.sort(), ["old", "orders.old"]);
});

test("share: what joins two homes is refused and changes nothing", async (t) => {
  const { url } = await openHub(t);
  const bus = await connectShared(t, url);
  const [orders, jobs] = [bus.queue("orders.new"), bus.queue("jobs")];
  await orders.send("cup");
  await jobs.send("wash");
  await bus.flush();
  const [order] = await orders.receive();
  const [job] = await jobs.receive();
  const both = (tx) => {
    tx.queue("jobs").send(1);
    tx.queue("orders.new").send(1);
  };
  const attempts = [
    () => bus.queue("orders.a", { deadLetter: "failed" }),
    () => bus.queue("jobs", { expired: "orders.late" }),
    () => bus.admin.declare("jobs", { deadLetter: "orders.failed" }),
    () => jobs.redrive({ into: "orders.new" }),
    () => bus.admin.move("jobs", "orders.new"),
    () => bus.subscribe("#", { group: "g" }),
    () => bus.admin.policy("p", "#", { ttl: 1000 }),
    () => bus.admin.policy("p", "orders.#", { expired: "late" }),
    () => jobs.schedule("k", { every: 1000, latest: "orders.tea" }),
    () => bus.transaction(both),
    () => bus.transaction((tx) => (tx.ack(job), tx.queue("orders.new").send(1), undefined)),
    () => bus.transaction((tx) => (tx.queue("jobs").send(1), tx.ack(order), undefined)),
    () => job.tx.queue("orders.new").send(1),
    () => order.tx.queue("jobs").send(1),
  ];
  const codes = [];
  for (const attempt of attempts) codes.push(await codeOf(attempt));
  assert.deepEqual(codes, attempts.map(() => "MIXED_HOMES"));
  const counts = async (queue) => {
    const { ready, leased, sentTotal } = await queue.info();
    return [ready, leased, sentTotal];
  };
  assert.deepEqual([await counts(orders), await counts(jobs)], [[0, 1, 1], [0, 1, 1]]);
  assert.equal((await bus.admin.policies()).length, 0);
  await Promise.all([order.ack(), job.ack()]);
});

test("share: a transaction at one home is stored there, at either", async (t) => {
  const { url } = await openHub(t);
  const bus = await connectShared(t, url);
  for (const [from, to] of [["orders.new", "orders.paid"], ["jobs", "done"]]) {
    await bus.queue(from).send("cup");
    const [delivery] = await bus.queue(from).receive();
    const staged = await bus.transaction((tx) => {
      tx.ack(delivery);
      return tx.queue(to).send("paid");
    });
    assert.equal(staged.receipt().stored.at, from === "jobs" ? "device" : "hub");
    assert.equal((await bus.queue(to).info()).ready, 1);
    assert.equal((await bus.queue(from).info()).ackedTotal, 1);
  }
  assert.equal(await bus.transaction(() => 7), 7);
  await assert.rejects(bus.transaction(async () => 7), { code: "INVALID" });
});

test("share: dead letters are at the home of their queue", async (t) => {
  const { url, hub } = await openHub(t);
  const bus = await connectShared(t, url, ["orders", "*.dead"]);
  for (const name of ["orders", "jobs"]) {
    const queue = bus.queue(name, { maxDeliver: 1 });
    await queue.send("cup");
    const [delivery] = await queue.receive();
    await delivery.reject("cold");
    const dead = bus.queue(`${name}.dead`);
    const { ready, home } = await dead.info();
    assert.deepEqual([ready, home], [1, name === "orders" ? "hub" : "device"]);
    assert.equal(await queue.deadLetters.redrive(), 1);
  }
  const own = await hub.bus("shop");
  assert.deepEqual((await all(own.admin.list("#.dead"))).map(({ name }) => name), ["orders.dead"]);
});

test("share: confirm by the hub is for what lives there", async (t) => {
  const { url } = await openHub(t);
  const bus = await connectShared(t, url);
  assert.equal((await bus.queue("orders.new").send(1, { confirm: "hub" })).stored.at, "hub");
  await assert.rejects(bus.queue("jobs").send(1, { confirm: "hub" }), {
    code: "INVALID",
    data: { name: "confirm" },
  });
  assert.equal(await codeOf(() => bus.queue("jobs").info()), "NOT_FOUND");
});

test("share: the device works while the hub is away, and what waits arrives once", async (t) => {
  const server = await hubThatReturns(t);
  const bus = await connectShared(t, server.url);
  const orders = bus.queue("orders.new");
  await orders.send(0, { confirm: "hub" });
  await server.stop();
  const ups = events(bus, "status");
  const numbers = [1, 2, 3, 4, 5];
  const places = [];
  for (const number of numbers) places.push((await orders.send(number)).stored.at);
  assert.deepEqual(places, numbers.map(() => "device"));
  const washed = bus.queue("jobs").process(({ body }) => `${body} washed`);
  const receipt = await bus.queue("jobs").send("cup", { confirm: "processed" });
  assert.equal(await receipt.processed(), "cup washed");
  const local = bus.subscribe("local.#");
  await local.ready();
  await bus.publish("local.news", "here");
  assert.equal((await take(local, 1))[0].body, "here");
  bus.serve("math", { twice: (number) => number * 2 });
  assert.equal(await bus.client("math").twice(4), 8);
  await until(() => bus.outbox.get().accepted + bus.outbox.get().sent === numbers.length);
  const waiting = (await bus.outbox.entries()).map(({ queue }) => queue);
  assert.deepEqual(waiting, Array(5).fill("orders.new"));
  assert.deepEqual((await all(bus.admin.list("jobs"))).map(({ name }) => name), ["jobs"]);
  await assert.rejects(bus.publish("orders.x", 1, { timeout: 50 }), { code: "TIMEOUT" });
  await server.start();
  await bus.ready();
  assert.notEqual((await ups)[0], "closed");
  await bus.flush();
  const taken = (await orders.receive({ max: 10, timeout: 5000 })).map(({ body }) => body);
  assert.deepEqual(taken, [0, ...numbers]);
  assert.equal((await orders.info()).sentTotal, 6);
  await until(() => Object.values(bus.outbox.get()).every((count) => count === 0));
  washed.close();
});

test("share: connect gives a bus though the hub is away, whose device works", async (t) => {
  const port = await freePort();
  const bus = await connectShared(t, `ws://127.0.0.1:${port}`);
  assert.equal(bus.status.get(), "offline");
  assert.equal((await bus.queue("jobs").send(1)).stored.at, "device");
  assert.equal((await bus.queue("orders.new").send(1)).stored.at, "device");
  await assert.rejects(bus.ready({ timeout: 50 }), { code: "TIMEOUT", data: { reason: "hub" } });
  const served = await serveHub({ hub: createHub(), port });
  t.after(() => served.close());
  await bus.ready();
  assert.equal(bus.status.get(), "ready");
  await bus.flush();
  assert.equal((await bus.queue("orders.new").info()).ready, 1);
});
