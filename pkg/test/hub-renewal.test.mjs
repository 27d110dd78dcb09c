// Grants that are replaced while their socket is open, and devices whose user changes.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createBus } from "tabmq";

import { until } from "./helpers.mjs";
import { openHub } from "./hub-server.mjs";
import { Network } from "./hub.mjs";

const ALL = { publish: ["#"], subscribe: ["#"], consume: ["#"], call: ["#"], serve: ["#"] };
const LIFE_MS = 2500;

/** A hub whose tokens are `user` or `user:number`; each grant ends soon. */
async function openShort(t, { refuses = () => false, user_of = (token) => token.split(":")[0] }) {
  const asked = [];
  const authorize = (_request, { token, renewal }) => {
    asked.push({ token, renewal });
    if (refuses(token)) throw new Error("no more");
    if (user_of(token) === "boss") return { user: "boss", ...ALL, admin: true };
    return { user: user_of(token), ...ALL, expires: new Date(Date.now() + LIFE_MS) };
  };
  return { ...(await openHub(t, { authorize })), asked };
}

function enter(t, url, token, options = {}) {
  const bus = createBus("shop", { hub: { url, token }, user: crypto.randomUUID(), ...options });
  t.after(() => bus.close());
  return bus;
}

const numbered = (user) => {
  let given = 0;
  return () => `${user}:${(given += 1)}`;
};

test("renewal: a subscription and a consumer go on over three of them on one socket", async (t) => {
  const { url, log, asked } = await openShort(t, {});
  const boss = enter(t, url, "boss");
  await boss.ready();
  const bus = enter(t, url, numbered("ann"));
  const [heard, worked, statuses] = [[], [], []];
  await bus.ready();
  bus.addEventListener("status", ({ detail }) => statuses.push(detail));
  const subscription = bus.subscribe("tick", ({ body }) => heard.push(body));
  bus.queue("jobs").process(({ body }) => void worked.push(body));
  await subscription.ready();
  const renewals = () => asked.filter(({ renewal }) => renewal).length;
  for (let round = 1; round <= 3; round += 1) {
    await until(() => renewals() >= round);
    await boss.publish("tick", round);
    await boss.queue("jobs").send(round, { confirm: "hub" });
    await until(() => heard.length === round && worked.length === round);
  }
  assert.deepEqual([heard, worked, statuses], [[1, 2, 3], [1, 2, 3], []]);
  await bus.flush();
  const connected = log.filter(({ event }) => event === "connected").length;
  assert.equal(connected, 2);
  const tokens = asked.filter(({ renewal }) => renewal).map(({ token }) => token);
  assert.deepEqual(tokens.slice(0, 3), ["ann:2", "ann:3", "ann:4"]);
});

test("renewal: a source that throws lets the grant end, and the next token counts", async (t) => {
  const { url, asked, log } = await openShort(t, {});
  let calls = 0;
  const fails = () => calls > 1 && calls < 4;
  const token = () => {
    calls += 1;
    if (fails()) throw new Error("the issuer is away");
    return `ann:${calls}`;
  };
  const bus = enter(t, url, token);
  t.mock.method(console, "error", () => {});
  await bus.ready();
  await until(() => log.some(({ reason }) => reason === "NOT_AUTHORIZED"));
  await until(() => asked.length > 1 && bus.status.get() === "ready");
  assert.equal((await bus.queue("q").send(1, { confirm: "hub" })).stored.at, "hub");
  assert.ok(asked.every(({ token: of }) => !of.includes("undefined")));
});

test("renewal: a hub that refuses closes the socket, and nothing waiting is lost", async (t) => {
  const refused = new Set(["ann:2"]);
  const { url, asked, log } = await openShort(t, { refuses: (token) => refused.has(token) });
  const bus = enter(t, url, numbered("ann"));
  await bus.ready();
  await until(() => asked.some(({ token, renewal }) => renewal && token === "ann:2"));
  await until(() => log.some(({ reason }) => reason === "NOT_AUTHORIZED"));
  const sent = bus.queue("q").send(1, { confirm: "hub" });
  assert.equal((await sent).stored.at, "hub");
});

test("user change: what one user left waits for that user, whoever comes between", async (t) => {
  let user = "ann";
  let hooked = 0;
  const refuses = (token) => token !== "boss" && !token.startsWith(user);
  const { url, served } = await openShort(t, { refuses });
  const network = await Network.start(t, served.port);
  const boss = enter(t, url, "boss");
  const token = () => `${user}:${(hooked += 1)}`;
  const bus = enter(t, network.url, token);
  t.mock.method(console, "error", () => {});
  const jobs = bus.queue("jobs");
  await jobs.send("first", { confirm: "hub" });
  await until(() => bus.outbox.get().accepted === 0);

  network.stall();
  network.cut();
  await until(() => bus.status.get() !== "ready");
  const before = hooked;
  await Promise.all(Array.from({ length: 100 }, (_, index) => jobs.send(index)));
  await until(() => bus.outbox.get().accepted === 100);
  // The grant is over by then.
  const over_at = Date.now() + LIFE_MS;
  await until(() => Date.now() > over_at);
  user = "eve";
  network.flow();
  await until(() => bus.outbox.get().quarantined === 100);
  assert.equal(hooked, before + 1);
  await jobs.send("of eve", { confirm: "hub" });
  const bodies = async () => {
    const found = [];
    for await (const { body } of boss.queue("jobs").browse()) found.push(body);
    return found;
  };
  assert.deepEqual(await bodies(), ["first", "of eve"]);

  user = "ann";
  network.cut();
  await until(async () => (await bodies()).length === 102);
  const numbers = Array.from({ length: 100 }, (_, index) => index);
  assert.deepEqual(await bodies(), ["first", "of eve", ...numbers]);
  assert.equal(bus.outbox.get().quarantined, 0);
});
