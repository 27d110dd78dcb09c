import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { createHub, serveHub } from "../../../pkg/dist/hub.js";
import { freePort } from "../../../pkg/test/ports.mjs";

/** A hub over files that can go away and come back at its address. */
export class Server {
  #storage;
  #served;

  constructor(t) {
    this.#storage = mkdtempSync(join(t.run.scratch, "hub-"));
    t.cleanup(() => this.stop());
  }

  async start() {
    this.hub = createHub({ storage: this.#storage });
    this.port ??= await freePort();
    this.#served = await serveHub({ hub: this.hub, port: this.port });
    this.url = this.#served.url;
    return this;
  }

  async stop() {
    await this.#served?.close();
    this.#served = undefined;
  }

  /** How many sockets are open. */
  get sockets() {
    return this.#served.sockets;
  }

  bus() {
    return this.hub.bus("test");
  }
}
