// A hub on Cloudflare: a Worker, and a Durable Object for each bus. Tabs and programs connect to
// wss://YOUR-WORKER/mq; a shell posts to https://YOUR-WORKER/mq/shop/queues/orders. The object is
// one more client of its bus: here it works off the orders, whoever sends them, and tells others.
import { createHub } from "tabmq/cloudflare";

const hub = createHub({
  binding: "HUB",
  // In the Worker, before an object wakes. Verify tokens with a library that does nothing else.
  authorize(request, { token, env }) {
    if (token !== env.TOKEN) throw new Error("not the token");
    const all = ["#"];
    return { user: "shop", publish: all, subscribe: all, consume: all, serve: all, call: all };
  },
  // In the object, whenever it wakes.
  start(bus) {
    bus.queue("orders").process(async ({ body }) => {
      await bus.publish("orders.done", body);
    });
  },
});

export const HubObject = hub.Object;

export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (pathname.startsWith("/mq/")) return hub.fetch(request, env, context);
    if (pathname !== "/orders") return new Response("the rest of the application\n");
    // Code of the Worker is a client with every right, for as long as its request.
    const bus = await hub.bus("shop", env);
    try {
      const { ready } = await bus.queue("orders").info();
      return Response.json({ ready });
    } finally {
      await bus.close();
    }
  },
};
