// Durable Objects in workerd: a hub of the package, or one written by hand that stores each message
// that comes on a socket and answers with its number. Prints its address.
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { Miniflare } from "miniflare";

const DIST = join(import.meta.dirname, "../../pkg/dist");

const HUB = `
  import { createHub } from "./tabmq/cloudflare.js";
  const hub = createHub({ binding: "OBJECT", authorize: "anonymous" });
  export const Written = hub.Object;
  export default hub;
`;

const BY_HAND = `
  export class Written {
    constructor(state) {
      this.state = state;
      state.storage.sql.exec("CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY, body BLOB)");
    }
    fetch() {
      const [near, far] = Object.values(new WebSocketPair());
      this.state.acceptWebSocket(far);
      return new Response(null, { status: 101, webSocket: near });
    }
    webSocketMessage(socket, message) {
      if (message === "purge") this.state.storage.sql.exec("DELETE FROM kept");
      else {
        const body = message.slice(4);
        this.state.storage.sql.exec("INSERT INTO kept (body) VALUES (?)", body);
      }
      socket.send(message === "purge" ? message : message.slice(0, 4));
    }
  }
  export default {
    fetch(request, env) {
      return env.OBJECT.get(env.OBJECT.idFromName("bench")).fetch(request);
    },
  };
`;

const [, , which, folder] = process.argv;
const part = (type, path, file) => ({ type, path, contents: readFileSync(join(DIST, file)) });
const PACKAGE = [
  part("ESModule", "tabmq/cloudflare.js", "cloudflare.js"),
  part("ESModule", "tabmq/workerd.js", "workerd.js"),
  part("CompiledWasm", "tabmq/tabmq-edge.wasm", "tabmq-edge.wasm"),
  part("CompiledWasm", "tabmq-edge.wasm", "tabmq-edge.wasm"),
];
const contents = which === "hub" ? HUB : BY_HAND;
const miniflare = new Miniflare({
  modules: [{ type: "ESModule", path: "worker.js", contents }, ...(which === "hub" ? PACKAGE : [])],
  compatibilityDate: "2026-04-01",
  durableObjects: { OBJECT: { className: "Written", useSQLite: true } },
  durableObjectsPersist: folder,
  host: "127.0.0.1",
  port: 0,
  cf: false,
});
process.on("SIGTERM", () => void miniflare.dispose().then(() => process.exit(0)));
console.log(String(await miniflare.ready).replace("http", "ws").replace(/\/$/, ""));
