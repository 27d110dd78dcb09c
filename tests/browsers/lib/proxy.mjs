// A TCP proxy that can be cut: "offline" for one server, the same for every engine.
import { connect, createServer } from "node:net";

export class Proxy {
  #listener;
  #pairs = new Set();
  #online = true;

  /** Forwards a port of 127.0.0.1 of its own to `target_port` there. */
  static async start(target_port) {
    const proxy = new Proxy();
    proxy.#listener = createServer((client) => proxy.#forward(client, target_port));
    await new Promise((resolve, reject) => {
      proxy.#listener.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    proxy.port = proxy.#listener.address().port;
    proxy.origin = `http://127.0.0.1:${proxy.port}`;
    return proxy;
  }

  /** Cuts every connection and refuses new ones. */
  goOffline() {
    this.#online = false;
    for (const pair of this.#pairs) this.#cut(pair);
  }

  goOnline() {
    this.#online = true;
  }

  /** Reads nothing more of what clients say, and tells nobody. */
  stall() {
    for (const [client, server] of this.#pairs) {
      client.unpipe(server);
      client.pause();
    }
  }

  flow() {
    for (const [client, server] of this.#pairs) client.pipe(server);
  }

  async close() {
    this.goOffline();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #forward(client, target_port) {
    if (!this.#online) return client.resetAndDestroy();
    const server = connect(target_port, "127.0.0.1");
    const pair = [client, server];
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.on("error", () => this.#cut(pair));
      socket.on("close", () => this.#cut(pair));
    }
    client.pipe(server).pipe(client);
  }

  #cut(pair) {
    this.#pairs.delete(pair);
    // A reset, as when the network is gone; a plain end would look like a polite close.
    for (const socket of pair) if (!socket.destroyed) socket.resetAndDestroy();
  }
}
