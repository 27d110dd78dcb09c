// A Worker with a Durable Object for each bus of a test, with limits of its own.
import { after } from "node:test";

import { startWorker } from "./cloudflare.mjs";

/** A hub whose addresses say which limits a bus has: /LIMITS/BUS. */
const script = `
  import { createHub } from "./tabmq/cloudflare.js";
  // Worker and objects are in one isolate here.
  const limits = new Map();
  const hubOf = (bus) =>
    createHub({ binding: "HUB", authorize: "anonymous", limits: limits.get(bus) });
  export class HubObject {
    #object;
    constructor(state, env) {
      this.#object = new (hubOf(state.id.name).Object)(state, env);
    }
    fetch(request) { return this.#object.fetch(request); }
    webSocketMessage(socket, message) { return this.#object.webSocketMessage(socket, message); }
    webSocketClose(socket, code) { return this.#object.webSocketClose(socket, code); }
    webSocketError(socket) { return this.#object.webSocketError(socket); }
    alarm() { return this.#object.alarm(); }
  }
  export default {
    fetch(request, env) {
      const [, wanted, bus] = new URL(request.url).pathname.split("/").map(decodeURIComponent);
      limits.set(bus, JSON.parse(wanted));
      return hubOf(bus).fetch(request, env);
    },
  };
`;

const ends = [];
const { url } = await startWorker({ after: (end) => ends.push(end) }, { script });
after(() => Promise.all(ends.map((end) => end())));

/** Else it is the device that confirms, on a machine that is busy. */
const OF_CLIENTS = { outbox_after_ms: 10_000 };

/** The options of a bus at a hub that does what the options of one without ask for. */
export function at(_, __, options = {}) {
  const limits = { ...OF_CLIENTS, ...options.limits };
  const wanted = encodeURIComponent(JSON.stringify(options.limits ?? {}));
  return { ...options, limits, hub: `${url}/${wanted}` };
}
