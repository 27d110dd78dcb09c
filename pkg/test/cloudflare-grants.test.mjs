// Who may do what at a hub in Durable Objects.
import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "tabmq";

import { connectTo, rawSocket, startWorker } from "./cloudflare.mjs";
import { post } from "./hub-server.mjs";

const OPTIONS = `{
  binding: "HUB",
  metrics: true,
  origins: ["https://shop.example"],
  authorize(request, { bus, token, env, renewal }) {
    if (renewal || !env.HUB) throw new Error("not as it should be");
    const long = Array.from({ length: 200 }, (_, number) => "queue".repeat(20) + number);
    if (token === "long") return { user: "x", publish: long };
    if (token === "none") return { name: "x" };
    if (token === "admin") return { user: "root", admin: true, publish: ["#"], consume: ["#"] };
    if (token !== "ann@" + bus) throw new Error("nobody we know");
    return { user: "ann", publish: ["orders.#"], expires: new Date(Date.now() + 3_600_000) };
  },
}`;

const code = (promise) => promise.then(() => "done", (error) => error.code);

test("cloudflare: a grant is judged in the Worker, held by the object and kept while it is away", {
  timeout: 30_000,
}, async (t) => {
  const worker = await startWorker(t, { options: OPTIONS });
  const hub = { url: worker.url, token: () => "ann@shop" };
  const ann = await connectTo(t, worker.url, "shop", { hub });
  const confirm = { confirm: "hub" };
  assert.equal(await code(ann.queue("orders.new").send(1, confirm)), "done");
  assert.equal(await code(ann.queue("wages").send(1, confirm)), "NOT_AUTHORIZED");
  assert.equal(await code(ann.queue("orders.new").purge()), "NOT_AUTHORIZED");
  await worker.evict("shop");
  assert.equal(await code(ann.queue("orders.new").send(2, confirm)), "done");
  assert.equal(await code(ann.queue("wages").send(1, confirm)), "NOT_AUTHORIZED");
  const elsewhere = { hub: { ...hub, token: "ann@shop" }, user: "elsewhere" };
  const other = connect("other", elsewhere);
  assert.equal(await code(other), "NOT_AUTHORIZED", "of another bus");
});

test("cloudflare: what gives no grant lets nobody in, and wakes no object", async (t) => {
  const worker = await startWorker(t, { options: OPTIONS });
  const closed = (token, headers) => {
    const offered = ["tabmq", ...(token ? [`tabmq.token.${btoa(token).replace(/=+$/, "")}`] : [])];
    return rawSocket(`${worker.url}/shop`, offered, headers).closed;
  };
  assert.equal(await closed("eve"), 4013);
  assert.equal(await closed(undefined), 4013);
  assert.equal(await closed("ann@shop", { origin: "https://elsewhere.example" }), 4013);
  assert.equal(await closed("none"), 4024, "INTERNAL");
  assert.equal(await closed("long"), 4024, "a grant that does not fit");
  // What a client says in the name of the Worker is not heard.
  const forged = { "x-tabmq-call": encodeURIComponent('{"kind":"socket","bus":"shop"}') };
  assert.equal(await closed("eve", forged), 4013);
  const bearer = (token, more) => ({ authorization: `Bearer ${token}`, ...more });
  const to = `${worker.http}/shop/queues`;
  assert.equal((await post(`${to}/orders.a`, "1", bearer("eve"))).status, 403);
  assert.equal((await post(`${to}/orders.a`, "1", bearer("eve", forged))).status, 403);
  assert.equal((await post(`${to}/wages`, "1", bearer("ann@shop"))).status, 403);
  assert.equal((await worker.instance("shop")).made, 1, "made by this question alone");
  assert.equal((await post(`${to}/orders.a`, "1", bearer("ann@shop", forged))).status, 202);
  const metrics = (query, token) =>
    fetch(`${worker.http}/metrics${query}`, { headers: bearer(token) });
  assert.equal((await metrics("", "admin")).status, 400);
  assert.equal((await metrics("?bus=shop", "ann@shop")).status, 403);
  const told = await (await metrics("?bus=shop", "admin")).text();
  assert.match(told, /tabmq_queue_messages\{bus="shop",queue="orders.a",state="ready"\} 1\n/);
});

test("cloudflare: without authorize nobody comes in; wrong options are refused", async (t) => {
  const script = (options) => `
    import { createHub } from "./tabmq/cloudflare.js";
    const refused = [];
    for (const wrong of [
      {}, { binding: 7 }, { binding: "HUB", storage: "./data" }, { binding: "HUB", colour: 1 },
      { binding: "HUB", limits: { buses_max: 1 } }, { binding: "HUB", limits: { pause_ms_max: 1 } },
      { binding: "HUB", limits: { link_bytes_max: 1e9 } },
    ]) {
      try { createHub(wrong); refused.push("none"); } catch (error) { refused.push(error.code); }
    }
    const hub = createHub(${options});
    export const HubObject = hub.Object;
    export default { fetch: (request, env) => new URL(request.url).pathname === "/refused"
      ? Response.json(refused) : hub.fetch(request, env) };`;
  const worker = await startWorker(t, { script: script('{ binding: "HUB" }') });
  const refused = await (await fetch(`${worker.http}/refused`)).json();
  assert.deepEqual(refused, Array.from({ length: 7 }, () => "INVALID"));
  assert.equal(await rawSocket(`${worker.url}/shop`).closed, 4013);
  assert.equal((await post(`${worker.http}/shop/queues/q`, "1")).status, 403);
});

test("cloudflare: a wrong binding is told; the Worker is a client with every right", async (t) => {
  const script = `
    import { createHub } from "./tabmq/cloudflare.js";
    const hub = createHub({
      binding: "HUB",
      authorize: "anonymous",
      start: (bus, { name, env }) => {
        bus.serve("about", { bus: () => name + " " + Object.keys(env) });
        bus.queue("jobs").process(({ body }) => body + 1);
      },
    });
    const wrong = createHub({ binding: "OTHER", authorize: "anonymous" });
    export const HubObject = hub.Object;
    export default { async fetch(request, env) {
      const { pathname } = new URL(request.url);
      if (pathname === "/wrong/queues/q") return wrong.fetch(request, env);
      if (pathname !== "/work") return hub.fetch(request, env);
      const bus = await hub.bus("shop", env);
      try {
        const receipt = await bus.queue("jobs").send(41, { track: true });
        const about = await bus.call("about", "bus", []);
        return Response.json([receipt.stored.at, await receipt.processed(), about]);
      } finally {
        await bus.close();
      }
    } };`;
  const worker = await startWorker(t, { script });
  assert.equal((await post(`${worker.http}/wrong/queues/q`, "1")).json.code, "INTERNAL");
  for (let times = 0; times < 3; times += 1) {
    const answer = await fetch(`${worker.http}/work`);
    assert.deepEqual(await answer.json(), ["hub", 42, "shop HUB"]);
  }
});
