// What a hub sends to a device of live messages: what a tab there listens to, and that once.
import assert from "node:assert/strict";
import { test } from "node:test";

import { until } from "./helpers.mjs";
import { connectHub, Network, openHub } from "./hub.mjs";

const BODY = "x".repeat(1000);
const MESSAGES = 200;

/** A device of so many tabs, whose one socket is carried by a network that counts. */
async function device(t, port, tabs) {
  const network = await Network.start(t, port);
  const user = crypto.randomUUID();
  const open = () => connectHub(t, network.url, "shop", user);
  const buses = [await open()];
  while (buses.length < tabs) buses.push(await open());
  return { network, buses };
}

/** How many bytes came to it while this was done. */
async function counted({ network }, done) {
  const before = network.came;
  await done();
  return network.came - before;
}

async function publish(bus, topic, count = MESSAGES) {
  for (let number = 0; number < count; number += 1) await bus.publish(topic, BODY);
}

test("hub: a device is sent what one of its tabs listens to, once", async (t) => {
  const { port, url } = await openHub(t);
  const [listening, idle] = [await device(t, port, 5), await device(t, port, 2)];
  const far = await connectHub(t, url, "shop");
  let [heard, gaps] = [0, 0];
  const subscriptions = listening.buses.flatMap((bus) =>
    ["price.*", "price.tea"].map((filter) =>
      bus.subscribe(filter, { onGap: () => (gaps += 1) }, () => (heard += 1)),
    ),
  );
  await Promise.all(subscriptions.map((subscription) => subscription.ready()));
  const others = await counted(listening, () => publish(far, "stock.tea"));
  assert.ok(others < MESSAGES, `${others} bytes of what nobody there listens to`);
  let silent;
  const own = await counted(listening, async () => {
    silent = await counted(idle, () => publish(far, "price.tea"));
    await until(() => heard === MESSAGES * subscriptions.length);
  });
  t.diagnostic(`${own} bytes to ten subscriptions, ${others} and ${silent} where nobody listens`);
  assert.ok(own > MESSAGES * BODY.length && own < MESSAGES * (BODY.length + 300), `${own} bytes`);
  assert.ok(silent < MESSAGES, `${silent} bytes where nobody listens`);
  await Promise.all(subscriptions.map((subscription) => subscription.close()));
  await listening.buses[0].ready();
  await until(async () => (await counted(listening, () => publish(far, "price.tea", 5))) < 5000);
  assert.equal(gaps, 0);
});

test("hub: a device goes on to listen when another of its tabs relays", async (t) => {
  const { port, url } = await openHub(t);
  const { network, buses } = await device(t, port, 3);
  const far = await connectHub(t, url, "shop");
  const heard = [];
  const onGap = ({ first, last }) => heard.push([first, last]);
  const last = buses.at(-1);
  await last.subscribe("price.*", { onGap }, ({ body }) => heard.push(body)).ready();
  for (let number = 0; number < 10; number += 1) {
    await far.publish("price.tea", number);
    await far.publish("stock.tea", number);
    if (number === 3) await buses[0].close();
    if (number === 6) network.cut();
  }
  await until(() => heard.at(-1) === 9);
  assert.deepEqual(heard, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});
