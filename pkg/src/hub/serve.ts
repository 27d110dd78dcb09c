import { createServer } from "node:http";

import { logOf } from "./log.js";
import type { ServedHub, ServeOptions } from "./types.js";

/** Has a hub listen. Rejects if the address can't be had. */
export async function serveHub(options: ServeOptions): Promise<ServedHub> {
  const { hub, port = 0, host = "127.0.0.1" } = options;
  const server = createServer(hub.request);
  server.on("upgrade", hub.upgrade);
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject);
    server.listen(port, host, () => resolve());
  });
  const bound = server.address();
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await hub.close();
      server.closeAllConnections();
      await closed;
    })();
    return closing;
  };
  const name = host.includes(":") ? `[${host}]` : host;
  const url = `ws://${name}:${bound.port}`;
  logOf(hub)("info", { event: "listening", url });
  return {
    url,
    port: bound.port,
    get sockets() {
      return hub.sockets;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
