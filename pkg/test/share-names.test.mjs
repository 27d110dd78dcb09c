// Names of a bus of two homes: those that the device had before, filters, peers and two users.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import { connect, createBus } from "tabmq";
import { createHub, serveHub } from "tabmq/node";

import { temporaryFolder } from "./files.mjs";
import { all, events, take, until } from "./helpers.mjs";
import { connectHub, openHub } from "./hub.mjs";

/** The same user on the device alone. */
async function onDevice(t, user, options = {}) {
  const bus = await connect("shop", { user, ...options });
  t.after(() => bus.close());
  return bus;
}

async function connectShared(t, url, user, share = ["orders.#"], options = {}) {
  const bus = await connect("shop", { user, ...options, hub: { url, share } });
  t.after(() => bus.close());
  return bus;
}

test("share: a queue that the device has stays there until it is deleted", async (t) => {
  const { url, hub } = await openHub(t);
  const user = randomUUID();
  const before = await onDevice(t, user);
  await before.queue("orders.old", { deadLetter: "orders.failed" }).send("kept");
  const bus = await connectShared(t, url, user);
  const told = await events(bus, "contract");
  const contract = { name: "orders.old", home: "device", reason: "exists-on-device" };
  assert.deepEqual(told, [contract]);
  const old = bus.queue("orders.old", { deadLetter: "orders.failed" });
  assert.deepEqual([(await old.info()).home, (await old.info()).ready], ["device", 1]);
  assert.equal((await old.send("more")).stored.at, "device");
  const late = { expired: "orders.late" };
  assert.equal(await codeOf(() => bus.queue("orders.old", late)), "MIXED_HOMES");
  assert.equal(await codeOf(() => old.send(1, { confirm: "hub" })), "INVALID");
  const [dead, failed] = ["orders.old.dead", "orders.failed"].map((name) => bus.queue(name));
  assert.deepEqual([(await dead.send(1)).stored.at, (await failed.send(1)).stored.at], [
    "device",
    "device",
  ]);
  // It is on the device as well by now, and would keep its name from being a dead-letter queue.
  assert.equal(await bus.admin.delete("orders.failed"), 1);
  assert.equal(await old.delete(), 2);
  await old.send("anew");
  await bus.flush();
  assert.equal((await old.info()).home, "hub");
  const own = await hub.bus("shop");
  assert.equal((await own.queue("orders.old").info()).ready, 1);
  assert.equal(await codeOf(() => before.queue("orders.old").info()), "NOT_FOUND");
});

test("share: what was kept is found again by the next bus, over files", async (t) => {
  const { url } = await openHub(t);
  const [storage, user] = [temporaryFolder(t), randomUUID()];
  const before = await onDevice(t, user, { storage });
  await before.queue("orders.old").send("kept");
  await before.close();
  const first = await connectShared(t, url, user, undefined, { storage });
  assert.equal((await first.queue("orders.old").info()).home, "device");
  assert.equal((await first.queue("orders.new").info().catch(({ code }) => code)), "NOT_FOUND");
  await first.queue("orders.new").send(1, { confirm: "hub" });
  await first.close();
  const second = await connectShared(t, url, user, undefined, { storage });
  assert.equal((await second.queue("orders.old").info()).home, "device");
  assert.equal((await second.queue("orders.new").info()).home, "hub");
  assert.equal((await second.queue("orders.old").receive())[0].body, "kept");
});

test("share: a kept queue goes to the hub as a file, with ids, attempts and order", async (t) => {
  const { url, hub } = await openHub(t);
  const user = randomUUID();
  const before = await onDevice(t, user);
  const ids = ["a", "b", "c"];
  for (const id of ids) await before.queue("orders.old").send(id, { id });
  await before.queue("orders.old").receive().then(([first]) => first.retry({ after: 0 }));
  const bus = await connectShared(t, url, user);
  const file = await bus.admin.export("orders.old");
  assert.equal(await bus.admin.delete("orders.old"), 3);
  assert.equal(await bus.admin.import(file), 3);
  const own = await hub.bus("shop");
  const found = await all(own.queue("orders.old").browse());
  assert.deepEqual(found.map(({ id }) => id).sort(), ids);
  assert.deepEqual(found.map(({ attempts }) => attempts).sort(), [0, 0, 1]);
});

test("share: dead letters that the device has stay, and a new host forgets no name", async (t) => {
  const { url } = await openHub(t);
  const [storage, user] = [temporaryFolder(t), randomUUID()];
  const before = await onDevice(t, user, { storage });
  for (const name of ["orders", "orders.dead", "jobs"]) await before.queue(name).send(1);
  const bus = await connectShared(t, url, user, ["orders"], { storage });
  const told = await events(bus, "contract", 2);
  assert.deepEqual(told.map(({ name }) => name), ["orders", "orders.dead"]);
  const { epoch } = bus.host.get();
  bus.admin.killHost();
  await until(() => bus.host.get().epoch > epoch);
  await before.queue("orders").send(2);
  assert.equal((await bus.queue("orders").info()).home, "device");
});

test("share: another user of the realm hears that a kept queue is gone", async (t) => {
  const { url } = await openHub(t);
  const user = randomUUID();
  const before = await onDevice(t, user);
  await before.queue("orders.old").send(1);
  const bus = await connectShared(t, url, user);
  const old = bus.queue("orders.old");
  assert.equal((await old.info()).home, "device");
  await before.queue("orders.old").delete();
  await until(async () => (await codeOf(() => old.info())) === "NOT_FOUND");
  assert.equal((await old.send(1, { confirm: "hub" })).stored.at, "hub");
});

test("share: filters that are none are refused, and nothing is opened", async (t) => {
  const { url, served } = await openShare(t);
  const many = Array.from({ length: 65 }, (_, index) => `a${index}`);
  const bad = [[], "orders.#", many, [""], ["a..b"], ["a\n"], [7], ["$tabmq.#"], ["a".repeat(256)]];
  for (const share of [...bad, [Array(33).fill("a").join(".")], null, {}]) {
    const refused = connect("shop", { hub: { url, share }, user: "refused" });
    await assert.rejects(refused, { code: "INVALID" }, JSON.stringify(share));
  }
  assert.equal(served.sockets, 0);
  assert.throws(() => createBus("shop", { hub: { url, share: ["a"] } }), { code: "INVALID" });
  const all_there = createBus("shop", { hub: { url, share: ["#"] }, user: "refused" });
  await all_there.close();
});

test("share: another user of the realm may not ask for other filters", async (t) => {
  const { url } = await openHub(t);
  const user = randomUUID();
  const first = await connectShared(t, url, user);
  await assert.rejects(connectShared(t, url, user, ["jobs"]), { code: "INVALID" });
  const again = await connectShared(t, url, user);
  await first.close();
  assert.equal(first.status.get(), "closed");
  assert.equal((await again.queue("orders.new").send(1, { confirm: "hub" })).stored.at, "hub");
  await assert.rejects(first.queue("jobs").send(1), { code: "CLOSED" });
});

test("share: filters with wildcards say which home a subscription needs", async (t) => {
  const { url, hub } = await openHub(t);
  const own = await hub.bus("shop");
  const bus = await connectShared(t, url, randomUUID(), ["*.shared.#", "a"]);
  const cases = [
    ["x.shared", "hub"],
    ["x.shared.deep.er", "hub"],
    ["shared.x", "device"],
    ["a", "hub"],
    ["a.b", "device"],
    ["*", "device"],
  ];
  for (const [name, home] of cases)
    assert.equal((await bus.publish(name, 1).catch(({ code }) => ({ at: code }))).at,
      name === "*" ? "INVALID" : home, name);
  const heard = bus.subscribe("*.*");
  await heard.ready();
  await own.publish("x.shared", "hub");
  await own.publish("x.other", "not heard");
  await bus.publish("x.other", "device");
  assert.deepEqual((await take(heard, 2)).map(({ body }) => body).sort(), ["device", "hub"]);
  const hub_only = bus.subscribe("b.shared.*", { group: "g" });
  await hub_only.ready();
  await own.publish("b.shared.c", 1);
  assert.equal((await take(hub_only, 1))[0].body, 1);
});

test("share: a hub may grant the shared names alone, and tells whom it refuses", async (t) => {
  const authorize = (_, { token }) => {
    if (token !== "ann's") throw new Error("nobody we know");
    return { user: "ann", publish: ["orders.#"], subscribe: ["orders.#"], consume: ["orders.#"] };
  };
  const { url } = await openHub(t, { authorize });
  const share = ["orders.#"];
  const user = randomUUID();
  const bus = await connect("shop", { user, hub: { url, share, token: "ann's" } });
  t.after(() => bus.close());
  const heard = bus.subscribe("#");
  await heard.ready();
  await bus.publish("orders.x", 1);
  await bus.publish("local", 2);
  assert.deepEqual((await take(heard, 2)).map(({ body }) => body).sort(), [1, 2]);
  assert.equal((await bus.queue("orders.new").send(1, { confirm: "hub" })).stored.at, "hub");
  const eve = connect("shop", { user: "eve", hub: { url, share, token: "?" } });
  await assert.rejects(eve, { code: "NOT_AUTHORIZED" });
});

test("share: peers of both homes are listed, with their home", async (t) => {
  const { url } = await openHub(t);
  const user = randomUUID();
  const bus = await connectShared(t, url, user, undefined, { peer: { name: "two" } });
  const names = () => bus.peers.get().map(({ name, home }) => `${name} ${home}`).sort();
  const leave = bus.peers.subscribe(() => {});
  const other = await connectHub(t, url, "shop", undefined, { peer: { name: "server" } });
  await until(() => names().includes("server hub"));
  assert.equal(bus.peers.get(), bus.peers.get());
  const { id, hubId } = bus.peer;
  assert.notEqual(id, hubId);
  const known = () => other.peers.get().find((peer) => peer.id === hubId);
  await until(known);
  assert.equal(known().name, "two");
  const changed = events(bus, "peer");
  bus.peer.update({ name: "renamed" });
  await until(() => known().name === "renamed");
  assert.equal(bus.peer.name, "renamed");
  assert.ok(["device", "hub"].includes((await changed)[0].peer.home));
  const heard = other.subscribe("orders.#");
  await heard.ready();
  await bus.publish("orders.x", 1);
  assert.equal((await take(heard, 1))[0].publisher, hubId);
  leave();
});

test("share: interceptors see what goes to either home", async (t) => {
  const { url } = await openHub(t);
  const bus = await connectShared(t, url, randomUUID());
  const seen = [];
  const used = bus.use({ name: "seen", outgoing: ({ queue }) => void seen.push(queue) });
  await bus.queue("orders.new").send(1);
  await bus.queue("jobs").send(1);
  used[Symbol.dispose]();
  await bus.queue("jobs").send(1);
  assert.deepEqual(seen, ["orders.new", "jobs"]);
});

test("share: policies, exports and imports go to the home they are about", async (t) => {
  const { url, hub } = await openHub(t);
  const own = await hub.bus("shop");
  const bus = await connectShared(t, url, randomUUID());
  for (const name of ["orders.new", "jobs"]) await bus.queue(name).send(name);
  await bus.flush();
  assert.equal(await bus.admin.policy("there", "orders.#", { maxLength: 5 }), 1);
  assert.equal(await bus.admin.policy("here", "jobs", { maxLength: 5 }), 1);
  assert.deepEqual((await own.admin.policies()).map(({ name }) => name), ["there"]);
  assert.deepEqual((await bus.admin.policies()).map(({ name }) => name), ["here", "there"]);
  for (const name of ["here", "there"]) await bus.admin.removePolicy(name);
  assert.deepEqual(await bus.admin.policies(), []);
  for (const name of ["orders.new", "jobs"]) {
    const file = await bus.admin.export(name);
    assert.equal(await bus.admin.purge(name), 1);
    assert.equal(await bus.admin.import(file), 1);
    assert.equal((await bus.queue(name).receive())[0].body, name);
  }
  assert.deepEqual(await all(own.admin.list("jobs")), []);
  const file = await bus.admin.export("jobs");
  assert.equal(await bus.admin.import(file, { into: "orders.copy" }), 1);
  assert.equal((await own.queue("orders.copy").info()).ready, 1);
});

test("share: close with drain lets the handlers of both homes finish", async (t) => {
  const { url } = await openHub(t);
  const bus = await connectShared(t, url, randomUUID());
  const done = [];
  const started = new Set();
  let go;
  const gate = new Promise((resolve) => {
    go = resolve;
  });
  for (const name of ["orders.new", "jobs"]) {
    bus.queue(name).process(async () => {
      started.add(name);
      await gate;
      done.push(name);
    });
    await bus.queue(name).send(1);
  }
  await until(() => started.size === 2);
  const closed = bus.close({ drain: true });
  go();
  await closed;
  assert.deepEqual(done.sort(), ["jobs", "orders.new"]);
  assert.equal(bus.status.get(), "closed");
});

async function openShare(t) {
  const served = await serveHub({ hub: createHub() });
  t.after(() => served.close());
  return { url: served.url, served };
}

async function codeOf(attempt) {
  try {
    await attempt();
  } catch ({ code }) {
    return code;
  }
  return undefined;
}
