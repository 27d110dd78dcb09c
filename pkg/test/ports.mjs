// Ports for servers that go away and come back at their address.
import { readFileSync } from "node:fs";
import { createServer } from "node:net";

const FIRST = 10_000;
/** Where the ports begin that Linux gives to sockets which ask for none of their own. */
const LEASED_FROM = 32_768;

function leasedFrom() {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s+/)[0]);
  } catch {
    return LEASED_FROM;
  }
}

const listens = (port) =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });

/**
 * A port where nobody listens. No socket that dials gets it as its own: it could be taken when its
 * server comes back, and a client that dials it meanwhile could be connected with itself.
 */
export async function freePort() {
  const end = Math.max(leasedFrom(), FIRST + 1000);
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (end - FIRST));
    if (await listens(port)) return port;
  }
}
