// A server with a hub beside its own pages: `node hub.js`. Tabs and programs connect to
// ws://127.0.0.1:8080/mq; a shell posts to http://127.0.0.1:8080/mq/shop/queues/orders. The server
// is one more client of each bus: here it works off the orders, whoever sends them.
import { createServer } from "node:http";
import { createHub } from "tabmq/node";

const hub = createHub({
  // Before the first client of a bus is answered.
  start(bus) {
    bus.queue("orders").process(({ body }) => console.log(`order: ${body}`));
  },
});

const isHub = ({ url }) => url.startsWith("/mq/");

const server = createServer((request, response) => {
  if (isHub(request)) hub.request(request, response);
  else response.end("the rest of the application\n");
});
server.on("upgrade", (request, socket, head) => {
  if (isHub(request)) hub.upgrade(request, socket, head);
  else socket.destroy();
});
server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});

process.once("SIGTERM", async () => {
  server.close();
  // Everything is stored, and clients look for another hub, or for the next one here.
  await hub.close();
  server.closeAllConnections();
});
