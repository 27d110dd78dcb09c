// The same with hono: `node hub-hono.js`.
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { createHub } from "tabmq/node";

const hub = createHub({
  start(bus) {
    bus.queue("orders").process(({ body }) => console.log(`order: ${body}`));
  },
});

const app = new Hono();
app.get("/", (c) => c.text("the rest of the application\n"));
// The environment says at which address a request came in.
app.all("/mq/*", (c) => hub.fetch(c.req.raw, c.env));

const port = Number(process.env.PORT ?? 8080);
const server = serve({ fetch: app.fetch, port, hostname: "127.0.0.1" }, (address) => {
  console.log(`http://127.0.0.1:${address.port}`);
});
server.on("upgrade", hub.upgrade);

process.once("SIGTERM", async () => {
  server.close();
  await hub.close();
  server.closeAllConnections();
});
