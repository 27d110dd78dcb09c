// A trace goes along, from whoever sends to whoever answers, over all that lies between.
import assert from "node:assert/strict";
import { test } from "node:test";

import { temporaryFolder } from "./files.mjs";
import { all, take } from "./helpers.mjs";
import { clientOf, connectHub, freePort, openHub } from "./hub.mjs";
import { post, runCommand } from "./hub-server.mjs";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceOf = (span) => `00-${TRACE}-${span.padStart(16, "0")}-01`;

test("traces: a message keeps its trace from the outbox of a device to the reply", async (t) => {
  const port = await freePort();
  const url = `ws://127.0.0.1:${port}`;
  const storage = temporaryFolder(t);
  const device = clientOf(t, url, "shop");
  // Nobody is there: the device has it.
  const { stored } = await device.queue("orders").send("tea", {
    traceparent: traceOf("1"),
    replyTo: "answers",
  });
  assert.equal(stored.at, "device");
  const first = await openHub(t, { storage }, port);
  await device.flush();
  // Another process of the hub, which reads it from the files.
  await first.close();
  await openHub(t, { storage }, port);
  const kitchen = await connectHub(t, url, "shop");
  kitchen.queue("orders").process(async ({ body, replyTo, traceparent, tx }) => {
    tx.queue(replyTo).send(`${body} is ready`, { traceparent });
  });
  const [answer] = await take(device.queue("answers").consume(), 1);
  assert.deepEqual([answer.body, answer.traceparent], ["tea is ready", traceOf("1")]);
});

test("traces: a failed message keeps it through dead letters and back", async (t) => {
  const { url } = await openHub(t);
  const bus = await connectHub(t, url, "shop");
  const queue = bus.queue("orders");
  await queue.send("tea", { traceparent: traceOf("2") });
  const [bad] = await queue.receive();
  await bad.reject();
  const [dead] = await all(queue.deadLetters.browse());
  assert.equal(dead.traceparent, traceOf("2"));
  assert.equal(await queue.redrive(), 1);
  const [again] = await queue.receive();
  assert.equal(again.traceparent, traceOf("2"));
  await again.ack();
});

test("traces: a live message and a call keep it between two devices", async (t) => {
  const { url } = await openHub(t);
  const [near, far] = [await connectHub(t, url, "shop"), await connectHub(t, url, "shop")];
  const prices = far.subscribe("price.*");
  await prices.ready();
  const seen = [];
  const service = far.serve("kitchen", {
    async brew() {
      const { traceparent } = service.current;
      seen.push(traceparent);
      return far.call("stove", "heat", [], { traceparent });
    },
  });
  const stove = near.serve("stove", { heat: () => stove.current.traceparent });
  await Promise.all([service.ready(), stove.ready()]);
  await near.publish("price.tea", 3, { traceparent: traceOf("3") });
  const [price] = await take(prices, 1);
  assert.equal(price.traceparent, traceOf("3"));
  const answer = await near.call("kitchen", "brew", [], { traceparent: traceOf("4") });
  assert.deepEqual([answer, seen], [traceOf("4"), [traceOf("4")]]);
});

test("traces: a request and a command bring theirs", async (t) => {
  const { url, hub } = await openHub(t);
  const http = url.replace("ws:", "http:");
  const bus = await connectHub(t, url, "shop");
  const heard = bus.subscribe("price.*");
  await heard.ready();
  const headers = (traceparent) => ({ "content-type": "text/plain", traceparent });
  const send = (path, trace) => post(`${http}/shop/${path}`, "x", headers(trace));
  assert.equal((await send("queues/orders", traceOf("5"))).status, 202);
  assert.equal((await send("topics/price.tea", traceOf("6"))).status, 202);
  assert.equal((await take(heard, 1))[0].traceparent, traceOf("6"));
  const wrong = await send("queues/orders", "00-not-a-trace");
  assert.deepEqual([wrong.status, wrong.json.code], [400, "INVALID"]);
  const command = ["queue", "send", "shop", "orders", "y", "--hub", url, "--traceparent"];
  assert.equal((await runCommand(t, [...command, traceOf("7")])).code, 0);
  assert.equal((await runCommand(t, [...command, "x"])).code, 2);
  const { rest } = await runCommand(t, ["queue", "peek", "shop", "orders", "--hub", url, "--json"]);
  const printed = rest.map((line) => JSON.parse(line).traceparent);
  assert.deepEqual(printed, [traceOf("5"), traceOf("7")]);
  // The process of the hub sees the same.
  const inside = await hub.bus("shop");
  const found = await all(inside.queue("orders").browse());
  assert.deepEqual(found.map(({ traceparent }) => traceparent), printed);
});
