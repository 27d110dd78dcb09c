// A server with a hub for each bus of a test, so that each has limits of its own.
import { createServer } from "node:http";

import { createHub } from "tabmq/node";

const byName = new Map();
const server = createServer();
server.on("upgrade", (request, ...rest) => {
  const name = decodeURIComponent(request.url.slice(1));
  byName.get(name).upgrade(request, ...rest);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
// Nothing that is left of it keeps a test from ending.
server.unref();

/** The options of a bus at a hub that does what the options of one without ask for. */
export function at(t, name, options = {}) {
  const hub = createHub({ limits: options.limits });
  byName.set(name, hub);
  t.after(async () => {
    byName.delete(name);
    await hub.close();
  });
  return { ...options, hub: `ws://127.0.0.1:${server.address().port}` };
}
