// Sending once, fast and with a known sender, from one tab to another.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

test("one id of two tabs is stored once, also after the host died", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const other = await openBus(t, "other");
  const send = async () => {
    const orders = globalThis.bus.queue("orders", { dedupe: "10m" });
    const { duplicate, duplicateOf, id } = await orders.send("order", { id: "order-7" });
    return { duplicate, id, of: typeof duplicateOf };
  };
  assert.deepEqual(await host.evaluate(send), { duplicate: false, id: "order-7", of: "undefined" });
  const again = { duplicate: true, id: "order-7", of: "number" };
  assert.deepEqual(await other.evaluate(send), again);
  const sender = await host.evaluate(() => globalThis.bus.peer.id);
  await host.close();
  assert.deepEqual(await other.evaluate(send), again);
  const job = await other.evaluate(async () => {
    const [delivery] = await globalThis.bus.queue("orders").receive();
    await delivery.ack();
    return { body: delivery.body, sender: delivery.sender };
  });
  assert.deepEqual(job, { body: "order", sender }, "the sender is known though its tab is closed");
  assert.deepEqual(await other.evaluate(send), again);
  const third = await openBus(t, "third");
  assert.deepEqual(await third.evaluate(send), again);
  const { ready, sentTotal } = await third.evaluate(() => globalThis.bus.queue("orders").info());
  assert.deepEqual([ready, sentTotal], [0, 1]);
});

test("a stream goes to another tab in order, as fast as the host likes", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const other = await openBus(t, "other");
  await host.evaluate(async () => {
    globalThis.seen = [];
    const take = ({ body, sender }) => globalThis.seen.push([body, sender]);
    await globalThis.bus.queue("rows").process({ prefetch: 500 }, take).ready();
  });
  const progress = await other.evaluate(async () => {
    let body = 0;
    const source = new ReadableStream({
      pull(controller) {
        if (body < 2000) controller.enqueue({ body: (body += 1) });
        else controller.close();
      },
    });
    const sink = globalThis.bus.queue("rows").writable({ batch: 100, linger: "1m" });
    await source.pipeTo(sink);
    const { stored, batches, underWay, window } = sink.progress.get();
    return { stored, batches, underWay, told: window >= 16 };
  });
  assert.deepEqual(progress, { stored: 2000, batches: 20, underWay: 0, told: true });
  await host.waitFor(() => globalThis.seen.length === 2000, { deadline_ms: 60_000 });
  const sender = await other.evaluate(() => globalThis.bus.peer.id);
  const wrong = await host.evaluate(
    (from) => globalThis.seen.filter(([body, peer], at) => body !== at + 1 || peer !== from),
    sender,
  );
  assert.deepEqual(wrong, []);
});

test("interceptors see what one tab sends and another serves", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const other = await openBus(t, "other");
  await host.evaluate(async () => {
    globalThis.bus.use({
      name: "guard",
      incoming(message) {
        if (message.kind === "call" && message.method === "secret") {
          throw new globalThis.tabmq.TabmqError("NOT_AUTHORIZED", `not for ${message.sender}`);
        }
      },
    });
    const service = globalThis.bus.serve("names@1", { secret: () => 1, open: (name) => name });
    await service.ready();
  });
  const outcome = await other.evaluate(async () => {
    globalThis.bus.use({
      outgoing(message) {
        if (message.kind === "call") message.parameters = [`${message.parameters[0]}!`];
      },
    });
    const names = globalThis.bus.client("names@1");
    const refused = await globalThis.outcome(names.secret());
    return { open: await names.open("a"), refused: refused.text };
  });
  const caller = await other.evaluate(() => globalThis.bus.peer.id);
  assert.equal(outcome.open, "a!");
  assert.match(outcome.refused, new RegExp(`not for ${caller}`));
});
