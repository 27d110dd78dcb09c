// Grants that are renewed on the socket of an object.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createBus } from "tabmq";

import { connectTo, startWorker } from "./cloudflare.mjs";
import { until } from "./helpers.mjs";

/** Only the first token opens a socket, and each grant ends soon. */
const OPTIONS = `{
  binding: "HUB",
  authorize(request, { token, env, renewal }) {
    const all = ["#"];
    const rights = { publish: all, subscribe: all, consume: all };
    if (token === "boss") return { user: "boss", ...rights };
    const [user, number] = token.split(":");
    if (!env.HUB || renewal !== number > 1) throw new Error("not as it should be");
    if (number > 4) throw new Error("no more");
    return { user, ...rights, expires: new Date(Date.now() + 2500) };
  },
}`;

test("cloudflare: a grant is renewed on its socket, until that is refused", {
  timeout: 60_000,
}, async (t) => {
  const worker = await startWorker(t, { options: OPTIONS });
  const boss = await connectTo(t, worker.url, "shop", { hub: { url: worker.url, token: "boss" } });
  let given = 0;
  const token = () => `ann:${(given += 1)}`;
  const bus = createBus("shop", { hub: { url: worker.url, token }, user: "ann" });
  t.after(() => bus.close());
  await bus.ready();
  const [heard, statuses] = [[], []];
  bus.addEventListener("status", ({ detail }) => statuses.push(detail));
  await bus.subscribe("tick", ({ body }) => heard.push(body)).ready();
  for (let round = 1; round <= 3; round += 1) {
    await until(() => given > round);
    await boss.publish("tick", round);
    await until(() => heard.length === round);
  }
  assert.deepEqual([heard, statuses], [[1, 2, 3], []]);
  const refused = new Promise((resolve) => bus.addEventListener("error", resolve, { once: true }));
  t.mock.method(console, "error", () => {});
  assert.equal((await refused).detail.code, "NOT_AUTHORIZED");
  assert.ok(given > 4);
});
