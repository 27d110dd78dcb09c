// What a hub tells of those who come and go.
import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { connect } from "tabmq";
import { createHub, serveHub } from "tabmq/node";
import { WebSocket } from "ws";

import { temporaryFolder } from "./files.mjs";
import { until } from "./helpers.mjs";
import { connectTo, openHub, post } from "./hub-server.mjs";
import { freePort } from "./ports.mjs";

const told = (log, event) => log.filter((entry) => entry.event === event);
const endOf = (log, socket) =>
  told(log, "disconnected").find((entry) => entry.socket === socket)?.reason;

test("log: a hub tells where it is, what it opens, who comes and goes, and its end", async (t) => {
  const { served, log, url, http } = await openHub(t);
  const leaving = await connect("shop", { hub: url });
  await leaving.close();
  await until(() => told(log, "disconnected").length === 1);
  await connectTo(t, url);
  for (let count = 0; count < 3; count += 1) await post(`${http}/shop/queues/q`, "x");
  await served.close();
  const address = "127.0.0.1";
  assert.deepEqual(log, [
    { level: "info", event: "listening", url },
    { level: "info", event: "connected", bus: "shop", socket: 1, address },
    { level: "info", event: "bus-opened", bus: "shop" },
    { level: "info", event: "disconnected", bus: "shop", socket: 1, reason: "left" },
    { level: "info", event: "connected", bus: "shop", socket: 2, address },
    { level: "info", event: "closing" },
    { level: "info", event: "disconnected", bus: "shop", socket: 2, reason: "hub-closing" },
    { level: "info", event: "closed" },
  ]);
});

test("log: the reason of an end is told", async (t) => {
  const start = (_, { name }) => {
    if (name === "broken") throw new Error("no");
  };
  const { log, url } = await openHub(t, { start, limits: { body_bytes_max: 1000 } });
  const ends = [
    ["lost", "shop", (socket) => socket.terminate()],
    ["PROTOCOL", "shop", (socket) => socket.send("text")],
    ["PROTOCOL", "shop", (socket) => socket.send(new Uint8Array([1, 2, 3]))],
    ["TOO_LARGE", "shop", (socket) => socket.send(new Uint8Array(200_000))],
    ["left", "shop", (socket) => socket.close(1000)],
    ["bus-failed", "broken", () => {}],
  ];
  for (const [index, [reason, bus, end]] of ends.entries()) {
    const socket = new WebSocket(`${url}/${bus}`, "tabmq");
    await once(socket, "open");
    end(socket);
    await until(() => endOf(log, index + 1));
    assert.equal(endOf(log, index + 1), reason, String(end));
  }
});

test("log: who is turned away is told, with the reason", async (t) => {
  const { log, url } = await openHub(t, { origins: ["https://shop.example"] });
  const knock = async (address, protocol, origin) => {
    const socket = new WebSocket(address, protocol, { origin });
    return new Promise((resolve) => {
      socket.on("error", ({ message }) => resolve(message));
      socket.on("close", (code) => resolve(String(code)));
    });
  };
  assert.match(await knock(`${url}/shop`, "tabmq", "https://other.example"), /^4013$/);
  assert.match(await knock(`${url}/shop`, "other"), /400$/);
  assert.match(await knock(`${url}/`, "tabmq"), /404$/);
  const refused = told(log, "refused");
  assert.ok(refused.every(({ level, address }) => level === "warn" && address === "127.0.0.1"));
  assert.deepEqual(
    refused.map(({ why }) => why.split(" ").slice(0, 3).join(" ")),
    ["this origin is", 'the subprotocol "tabmq"', "the path ends"],
  );
});

test("log: an address that is taken rejects, and a log that throws harms nobody", async (t) => {
  const complained = t.mock.method(console, "error", () => {});
  const { served, http } = await openHub(t, {
    log() {
      throw new Error("the disk is full");
    },
  });
  assert.equal((await post(`${http}/shop/queues/q`, "x")).status, 202);
  assert.match(complained.mock.calls[0].arguments[0].message, /the disk is full/);
  const hub = createHub();
  t.after(() => hub.close());
  await assert.rejects(serveHub({ hub, port: served.port }), { code: "EADDRINUSE" });
});

test("log: options that are none are refused", () => {
  for (const options of [{ log: "yes" }, { metrics: 1 }, { logs: () => {} }])
    assert.throws(() => createHub(options), { code: "INVALID" });
});

test("log: clients that had more confirmed than is stored are told", async (t) => {
  const [folder, saved, log] = [temporaryFolder(t), temporaryFolder(t), []];
  const serve = async (port) => {
    const hub = createHub({ storage: folder, log: (entry) => log.push(entry) });
    const served = await serveHub({ hub, port });
    t.after(() => served.close());
    return served;
  };
  const first = await serve(await freePort());
  const bus = await connectTo(t, first.url);
  const strict = { durability: "strict" };
  const send = (body) => bus.queue("q").send(body, strict);
  await send(1);
  await first.close();
  fs.cpSync(folder, saved, { recursive: true });
  const second = await serve(first.port);
  await send(2);
  await send(3);
  await second.close();
  assert.deepEqual(told(log, "sends-lost"), [], "nothing is lost by a hub that is started again");
  fs.rmSync(folder, { recursive: true });
  fs.cpSync(saved, folder, { recursive: true });
  const lost = once(bus, "storage");
  await serve(first.port);
  const [{ detail }] = await lost;
  assert.deepEqual([detail.reason, detail.number], ["rolled-back", 2]);
  const socket = told(log, "connected").at(-1).socket;
  const what = { bus: "shop", socket, client: bus.peer.id, count: 2 };
  assert.deepEqual(told(log, "sends-lost"), [{ level: "error", event: "sends-lost", ...what }]);
});

/** A hub over files, with what its doors tell of its health. */
async function openFiles(t) {
  const folder = temporaryFolder(t);
  const opened = await openHub(t, { storage: folder, metrics: true });
  const health = async () => (await fetch(`${opened.http}/health`)).json();
  const metric = async (name) => {
    const text = await (await fetch(`${opened.http}/metrics`)).text();
    return text.split("\n").find((line) => line.startsWith(name))?.split(" ").at(-1);
  };
  return { ...opened, folder, health, metric };
}

test("log: a bus whose storage breaks is told, in health and metrics as well", async (t) => {
  const { hub, log, http, health, metric } = await openFiles(t);
  assert.equal((await post(`${http}/shop/queues/q`, "x")).status, 202);
  const broken = t.mock.method(fs, "fdatasync", (_, done) =>
    setImmediate(done, Object.assign(new Error("broken"), { code: "EIO" })),
  );
  const bus = await hub.bus("shop");
  const send = bus.queue("q").send("y", { durability: "strict" });
  await assert.rejects(send, { code: "STORAGE" });
  await until(() => told(log, "bus-closed").length === 1);
  const [failed] = told(log, "bus-failed");
  assert.deepEqual([failed.bus, failed.code, failed.level], ["shop", "STORAGE", "error"]);
  const [closed] = told(log, "bus-closed");
  assert.deepEqual(closed, { level: "error", event: "bus-closed", bus: "shop", code: "STORAGE" });
  assert.deepEqual(await health(), { status: "degraded", buses: 0, sockets: 0, failed: 1 });
  assert.equal(await metric('tabmq_bus_up{bus="shop"}'), "0");
  assert.equal(await metric("tabmq_hub_buses_failed"), "1");
  assert.equal(await metric("tabmq_hub_buses "), "0");
  broken.mock.restore();
  assert.equal((await post(`${http}/shop/queues/q`, "z")).status, 202);
  assert.deepEqual(await health(), { status: "ok", buses: 1, sockets: 0, failed: 0 });
  assert.equal(await metric('tabmq_bus_up{bus="shop"}'), "1");
});

test("log: a full disk is told, and a bus that is closed is no failure", async (t) => {
  const { hub, log, health } = await openFiles(t);
  const bus = await hub.bus("shop");
  const queue = bus.queue("jobs");
  await queue.send("before");
  const before = fs.write;
  const large = 10_000;
  t.mock.method(fs, "write", (...parameters) => {
    if (parameters[3] < large) return before.apply(fs, parameters);
    return setImmediate(parameters.at(-1), Object.assign(new Error("full"), { code: "ENOSPC" }));
  });
  await assert.rejects(queue.send("x".repeat(2 * large)), { code: "STORAGE" });
  await until(() => told(log, "storage").length);
  const why = { code: "STORAGE", reason: "quota", number: 1 };
  const [storage] = told(log, "storage");
  assert.deepEqual(storage, { level: "error", event: "storage", bus: "shop", ...why });
  await bus.close();
  await until(() => told(log, "bus-closed").length === 1);
  const [closed] = told(log, "bus-closed");
  assert.deepEqual([closed.level, closed.code], ["info", "CLOSED"]);
  assert.equal((await health()).status, "ok");
});

test("log: a bus that does not answer is told, once", { timeout: 60_000 }, async (t) => {
  const { hub, log, http, metric } = await openFiles(t);
  assert.equal((await post(`${http}/shop/queues/q`, "x")).status, 202);
  // The disk never says that it has written, and nothing is told before that.
  const stuck = [];
  const before = fs.fdatasync;
  const stalled = t.mock.method(fs, "fdatasync", (...parameters) => stuck.push(parameters));
  const bus = await hub.bus("shop");
  const send = bus.queue("q").send("y", { durability: "strict" });
  await until(() => stuck.length);
  assert.equal(await metric('tabmq_bus_up{bus="shop"}'), "0");
  const silent = { level: "error", event: "bus-silent", bus: "shop" };
  assert.deepEqual(told(log, "bus-silent"), [silent]);
  stalled.mock.restore();
  for (const parameters of stuck) before.apply(fs, parameters);
  await send;
  assert.equal(await metric('tabmq_bus_up{bus="shop"}'), "1");
});

test("log: files that are damaged are told, and told again until they are mended", async (t) => {
  const { hub, log, http, health, folder } = await openFiles(t);
  const bus = await hub.bus("shop");
  for (let number = 0; number < 5; number += 1) await bus.queue("jobs").send(number);
  await bus.close();
  const inside = join(folder, "bus-shop");
  const path = join(inside, fs.readdirSync(inside).find((name) => name.endsWith(".log")));
  const whole = fs.readFileSync(path);
  const damaged = Buffer.from(whole);
  damaged[Math.floor(whole.length / 2)] ^= 1;
  fs.writeFileSync(path, damaged);
  for (let count = 0; count < 2; count += 1) {
    const { status, json } = await post(`${http}/shop/queues/jobs`, "x");
    assert.deepEqual([status, json.data.reason], [507, "corruption"]);
  }
  const failures = told(log, "bus-failed");
  assert.equal(failures.length, 2);
  assert.ok(failures.every(({ code, message }) => code === "STORAGE" && /damaged/.test(message)));
  assert.equal((await health()).failed, 1);
  fs.writeFileSync(path, whole);
  assert.equal((await post(`${http}/shop/queues/jobs`, "x")).status, 202);
  assert.equal((await health()).failed, 0);
});

test("log: who is kept out by authorize is told with what it threw", async (t) => {
  const authorize = () => {
    throw new Error("no such member");
  };
  const { http, log } = await openHub(t, { authorize });
  assert.equal((await post(`${http}/shop/queues/q`, "x")).status, 403);
  const address = "127.0.0.1";
  const refused = { level: "warn", event: "refused", why: "authorize: no such member", address };
  assert.deepEqual(told(log, "refused"), [refused]);
});
