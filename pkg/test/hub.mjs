// What the tests of hubs share: hubs in processes of their own, and the network between.
import net from "node:net";
import { randomUUID } from "node:crypto";

import { connect, createBus } from "tabmq";
import { createHub, serveHub } from "tabmq/node";

import { SAY, startScript } from "./files.mjs";
import { freePort } from "./ports.mjs";

export { freePort };

/** A hub in this process, in memory unless the options say another thing. */
export async function openHub(t, options, port = 0) {
  const hub = createHub(options);
  const served = await serveHub({ hub, port });
  t.after(() => served.close());
  return { ...served, hub };
}

/**
 * A hub in a process of its own, which tells its memory under the service `process`. It may be
 * killed and come back at its port.
 */
export async function hubProcess(t, options, port) {
  port ??= await freePort();
  const child = startScript(`${SAY}
    import { createHub, serveHub } from "tabmq/node";
    const start = (bus) => bus.serve("process", { rss: () => process.memoryUsage().rss });
    const hub = createHub({ ...${JSON.stringify(options)}, start });
    const served = await serveHub({ hub, port: ${port} });
    say(String(served.port));`);
  t.after(child.kill);
  const bound = Number(await child.line());
  const kill = () => {
    child.kill();
    return child.ended;
  };
  return { port: bound, url: `ws://127.0.0.1:${bound}`, kill, signal: child.signal };
}

/**
 * A client of a hub. Those of different `user` are different clients, though they are in one
 * process.
 */
export async function connectHub(t, hub, name, user = randomUUID(), options = {}) {
  const bus = await connect(name, { ...options, hub, user });
  t.after(() => bus.close());
  return bus;
}

/** The same, which nobody waits for. */
export function clientOf(t, hub, name, options = {}) {
  const bus = createBus(name, { ...options, hub, user: randomUUID() });
  t.after(() => bus.close());
  return bus;
}

/** A network between clients and the hub at `port`, which cuts and stalls what it carries. */
export class Network {
  url;
  /** Bytes that came from the hub. */
  came = 0;
  /** After so many more of them every connection is cut. */
  cutAfter = Infinity;
  /** How often that happened. */
  cuts = 0;
  #links = new Set();
  #server;
  #port;
  #stalled = false;

  static async start(t, port) {
    const network = new Network();
    network.#port = port;
    network.#server = net.createServer((near) => network.#carry(near));
    await new Promise((resolve) => network.#server.listen(0, "127.0.0.1", resolve));
    network.url = `ws://127.0.0.1:${network.#server.address().port}`;
    t.after(() => network.stop());
    return network;
  }

  /** Carries nothing in either direction, and tells nobody; new connections are taken. */
  stall() {
    this.#stalled = true;
    for (const { near, far } of this.#links) [near, far].forEach((socket) => socket.pause());
  }

  /** What came up meanwhile on connections that are still there is carried. */
  flow() {
    this.#stalled = false;
    for (const { near, far } of this.#links) [near, far].forEach((socket) => socket.resume());
  }

  /** New connections are carried; those that are there stay as they are. */
  flowAnew() {
    this.#stalled = false;
  }

  /** What the hub sends on the connections that are there is not read any more. */
  pauseReaders() {
    for (const { far } of this.#links) far.pause();
  }

  cut() {
    for (const { near, far } of this.#links) [near, far].forEach((socket) => socket.destroy());
  }

  stop() {
    this.cut();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  #carry(near) {
    const far = net.connect(this.#port, "127.0.0.1");
    const link = { near, far };
    this.#links.add(link);
    const end = () => {
      this.#links.delete(link);
      near.destroy();
      far.destroy();
    };
    near.on("data", (bytes) => far.write(bytes));
    far.on("data", (bytes) => {
      this.came += bytes.length;
      if (bytes.length < this.cutAfter) {
        this.cutAfter -= bytes.length;
        return near.write(bytes);
      }
      // The rest of them is lost.
      near.write(bytes.subarray(0, this.cutAfter), end);
      this.cutAfter = Infinity;
      this.cuts += 1;
    });
    for (const socket of [near, far]) socket.on("error", end).on("close", end);
    if (this.#stalled) [near, far].forEach((socket) => socket.pause());
  }
}
