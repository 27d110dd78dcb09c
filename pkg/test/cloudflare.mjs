// What the tests of hubs on Cloudflare share: workerd with a Worker of the built package.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { randomUUID } from "node:crypto";

import { Miniflare } from "miniflare";
import { connect } from "tabmq";
import { WebSocket, WebSocketServer } from "ws";

const DIST = join(import.meta.dirname, "../dist");

const ofPackage = (type, path, file) => ({ type, path, contents: readFileSync(join(DIST, file)) });
/** The modules of the package as they are; and the one that a bundled Worker has beside it. */
const PACKAGE = [
  ofPackage("ESModule", "tabmq/cloudflare.js", "cloudflare.js"),
  ofPackage("ESModule", "tabmq/workerd.js", "workerd.js"),
  ofPackage("CompiledWasm", "tabmq/tabmq-edge.wasm", "tabmq-edge.wasm"),
  ofPackage("CompiledWasm", "tabmq-edge.wasm", "tabmq-edge.wasm"),
];

/**
 * A Worker whose objects can be looked at: `/instance/BUS` tells how often the object was made and
 * when its alarm rings, and `/evict/BUS` ends it at once with all of its sockets.
 */
const PROBED = (options) => `
  import { createHub } from "./tabmq/cloudflare.js";
  const hub = createHub(${options});
  export class HubObject extends hub.Object {
    #state;
    constructor(state, env) {
      super(state, env);
      this.#state = state;
      this.made = state.blockConcurrencyWhile(async () => {
        const made = ((await state.storage.get("test.made")) ?? 0) + 1;
        await state.storage.put("test.made", made);
        return made;
      });
    }
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/test/evict") this.#state.abort("evicted by a test");
      if (pathname !== "/test/instance") return super.fetch(request);
      const alarm = await this.#state.storage.getAlarm();
      return Response.json({ made: await this.made, alarm });
    }
  }
  export default {
    fetch(request, env, context) {
      const [, what, bus] = new URL(request.url).pathname.split("/");
      if (what !== "instance" && what !== "evict") return hub.fetch(request, env, context);
      return env.HUB.get(env.HUB.idFromName(bus)).fetch("https://test/test/" + what);
    },
  };
`;

/** Starts workerd with a Worker, by default one that lets everybody in. */
export async function startWorker(t, given = {}) {
  const { options, script, persist, port = 0, objects, vars = {}, date = "2026-04-01" } = given;
  const worker = script ?? PROBED(options ?? '{ binding: "HUB", authorize: "anonymous" }');
  const miniflare = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents: worker }, ...PACKAGE],
    compatibilityDate: date,
    bindings: vars,
    durableObjects: objects ?? { HUB: { className: "HubObject", useSQLite: true } },
    durableObjectsPersist: persist ?? false,
    host: "127.0.0.1",
    port,
    cf: false,
  });
  const http = String(await miniflare.ready).replace(/\/$/, "");
  let stopped;
  const stop = () => (stopped ??= miniflare.dispose());
  t.after(stop);
  return {
    http,
    url: http.replace("http", "ws"),
    port: Number(new URL(http).port),
    stop,
    /** Tells of the object of a bus, which wakes for that. */
    instance: async (bus) => (await fetch(`${http}/instance/${bus}`)).json(),
    evict: async (bus) => {
      await (await fetch(`${http}/evict/${bus}`)).text();
    },
  };
}

/** A client of a bus, as different users are different clients. */
export async function connectTo(t, url, name, options = {}) {
  const bus = await connect(name, { ...options, hub: options.hub ?? url, user: randomUUID() });
  t.after(() => bus.close());
  await bus.ready();
  return bus;
}

/** A socket of somebody who is no client, and the code with which it ends. */
export function rawSocket(address, protocols = ["tabmq"], headers = {}) {
  const socket = new WebSocket(address, protocols, { headers });
  socket.on("error", () => {});
  const opened = new Promise((resolve) => socket.on("open", resolve));
  const closed = new Promise((resolve) => socket.on("close", resolve));
  const status = new Promise((resolve) =>
    socket.on("unexpected-response", (_, response) => resolve(response.statusCode)),
  );
  return { socket, opened, closed, status };
}

/** A way to a Worker which notes what is said on it, and may stop to read what the Worker sends. */
export class Way {
  url;
  /** What was said: `[by, bytes or text]`, `by` being `client` or `hub`. */
  said = [];
  /** The codes and reasons with which the hub closed sockets. */
  closed = [];
  /** Bytes of the hub that were read after their client had left. */
  late_bytes = 0;
  #server;
  #held = false;
  #far = new Set();

  static async open(t, url) {
    const way = new Way();
    const handleProtocols = () => "tabmq";
    way.#server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols });
    await once(way.#server, "listening");
    way.url = `ws://127.0.0.1:${way.#server.address().port}`;
    way.#server.on("connection", (near, request) => way.#carry(near, url + request.url));
    t.after(() => way.#end());
    return way;
  }

  /** What the hub sends is not read, not even when its client left. Nobody new comes in. */
  hold() {
    this.#held = true;
    for (const far of this.#far) far.pause();
  }

  /** What lies there is read, to the end. */
  release() {
    this.#held = false;
    for (const far of this.#far) far.resume();
  }

  #carry(near, url) {
    near.on("error", () => {});
    if (this.#held) return near.terminate();
    const far = new WebSocket(url, ["tabmq"]);
    this.#far.add(far);
    const early = [];
    const toHub = (data) => (far.readyState === WebSocket.OPEN ? far.send(data) : early.push(data));
    const forward = (data, is_binary) => (is_binary ? data : String(data));
    near.on("message", (data, is_binary) => {
      this.said.push(["client", forward(data, is_binary)]);
      toHub(forward(data, is_binary));
    });
    far.on("open", () => early.splice(0).forEach((data) => far.send(data)));
    far.on("message", (data, is_binary) => {
      this.said.push(["hub", forward(data, is_binary)]);
      if (near.readyState === WebSocket.OPEN) near.send(forward(data, is_binary));
      else this.late_bytes += data.length;
    });
    near.on("close", () => this.#held || far.close());
    far.on("error", () => {}).on("close", (code, reason) => {
      this.closed.push([code, String(reason)]);
      this.#far.delete(far);
      near.terminate();
    });
  }

  #end() {
    for (const far of this.#far) far.terminate();
    for (const near of this.#server.clients) near.terminate();
    return new Promise((resolve) => this.#server.close(resolve));
  }
}
