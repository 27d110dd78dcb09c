// What a hub tells of its queues, read by the grammar of OpenMetrics.
import assert from "node:assert/strict";
import { test } from "node:test";

import { take } from "./helpers.mjs";
import { connectTo, openHub, post } from "./hub-server.mjs";

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = `([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\\\\n]|\\\\[\\\\n"])*)"`;
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)\\})? (-?\\d+(?:\\.\\d+)?)$`);
const META = new RegExp(`^# (TYPE|UNIT|HELP) (${NAME}) (.+)$`);

const unescape = (text) =>
  text.replaceAll(/\\(.)/g, (_, character) => (character === "n" ? "\n" : character));

/** Families by name. Throws for a line that is not of the format, or not where it may be. */
function parse(text) {
  assert.ok(text.endsWith("# EOF\n"));
  const families = new Map();
  let family;
  for (const line of text.slice(0, -"# EOF\n".length).split("\n").slice(0, -1)) {
    const [, kind, name, told] = META.exec(line) ?? [];
    if (kind && name !== family?.name) {
      assert.ok(!families.has(name), `${name} is there twice`);
      family = { name, samples: [] };
      families.set(name, family);
    }
    if (kind) {
      assert.deepEqual([family.samples.length, family[kind]], [0, undefined], line);
      family[kind] = told;
      continue;
    }
    const [, sample, labels = "", ...rest] = SAMPLE.exec(line) ?? assert.fail(line);
    assert.equal(sample, family.TYPE === "counter" ? `${family.name}_total` : family.name);
    if (family.UNIT) assert.ok(family.name.endsWith(`_${family.UNIT}`));
    const pairs = [...labels.matchAll(new RegExp(LABEL, "g"))];
    const read = pairs.map(([, label, quoted]) => [label, unescape(quoted)]);
    family.samples.push({ labels: Object.fromEntries(read), value: Number(rest.at(-1)) });
  }
  return families;
}

const ask = async (http) => {
  const response = await fetch(`${http}/metrics`);
  assert.equal(response.status, 200);
  const type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
  assert.equal(response.headers.get("content-type"), type);
  return parse(await response.text());
};

/** The value of the one sample with these labels. */
function value(families, name, labels) {
  const { samples } = families.get(name);
  const fits = (sample) => Object.entries(labels).every(([label, text]) => sample[label] === text);
  const found = samples.filter((sample) => fits(sample.labels));
  assert.equal(found.length, 1, `${name} ${JSON.stringify(labels)}`);
  return found[0].value;
}

test("metrics: a hub without buses tells so", async (t) => {
  const { http } = await openHub(t, { metrics: true });
  const families = await ask(http);
  assert.equal(value(families, "tabmq_hub_buses", {}), 0);
  assert.equal(value(families, "tabmq_hub_sockets", {}), 0);
  assert.deepEqual(families.get("tabmq_queue_messages").samples, []);
});

test("metrics: what is in each queue, and what became of its messages", async (t) => {
  const { http, url } = await openHub(t, { metrics: true });
  const shop = await connectTo(t, url);
  await connectTo(t, url, "other");
  for (let number = 0; number < 5; number += 1) await post(`${http}/shop/queues/orders`, "12345");
  await post(`${http}/shop/queues/orders?delay=1h`, "later");
  await post(`${http}/other/queues/orders`, "x");
  const consumer = shop.queue("orders").consume({ prefetch: 3 });
  const [done, bad] = await take(consumer, 2);
  await done.ack();
  await bad.reject();
  await consumer.stop({ drain: true });
  const [held] = await shop.queue("orders").receive();
  const families = await ask(http);
  const orders = { bus: "shop", queue: "orders" };
  const messages = (state) => value(families, "tabmq_queue_messages", { ...orders, state });
  assert.deepEqual(["ready", "delayed", "leased", "prepared"].map(messages), [2, 1, 1, 0]);
  assert.equal(value(families, "tabmq_queue_sent", orders), 6);
  assert.equal(value(families, "tabmq_queue_acked", orders), 1);
  assert.equal(value(families, "tabmq_queue_dead_lettered", orders), 1);
  assert.equal(value(families, "tabmq_queue_discarded", orders), 0);
  assert.equal(value(families, "tabmq_queue_paused", orders), 0);
  assert.ok(value(families, "tabmq_queue_bytes", orders) >= 4 * 5);
  assert.equal(value(families, "tabmq_queue_sent", { bus: "other", queue: "orders" }), 1);
  const dead = { bus: "shop", queue: "orders.dead", state: "ready" };
  assert.equal(value(families, "tabmq_queue_messages", dead), 1);
  assert.deepEqual(
    ["hub_buses", "hub_sockets"].map((name) => value(families, `tabmq_${name}`, {})),
    [2, 2],
  );
  assert.equal(value(families, "tabmq_bus_sockets", { bus: "shop" }), 1);
  assert.equal(value(families, "tabmq_bus_up", { bus: "other" }), 1);
  await held.ack();
});

test("metrics: names are escaped as labels want it", async (t) => {
  const { http, hub } = await openHub(t, { metrics: true });
  const [bus, queue] = ['a\\b"c\nd\\n{e="f"}', 'a\\b"c\\n{e="f"},'];
  await (await hub.bus(bus)).queue(queue).send("x");
  const families = await ask(http);
  assert.equal(value(families, "tabmq_queue_sent", { bus, queue }), 1);
});

test("metrics: a bus that has ended is not told of any more", async (t) => {
  const { http, hub } = await openHub(t, { metrics: true });
  const dead = await hub.bus("dead");
  await (await hub.bus("alive")).queue("q").send("x");
  await dead.close();
  const families = await ask(http);
  assert.throws(() => value(families, "tabmq_bus_up", { bus: "dead" }));
  assert.equal(value(families, "tabmq_bus_up", { bus: "alive" }), 1);
  assert.equal(value(families, "tabmq_queue_sent", { bus: "alive", queue: "q" }), 1);
});
