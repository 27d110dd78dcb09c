// What a hub tells of those who come and go.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { connect } from "tabmq";
import { createHub, serveHub } from "tabmq/node";
import { WebSocket } from "ws";

import { until } from "./helpers.mjs";
import { connectTo, openHub, post } from "./hub-server.mjs";

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
