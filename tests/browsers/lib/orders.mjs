// Orders to pages and their reports, for browsers that no driver controls.
// A page dials in with the tab id it was opened with. One WebSocket per page, because a
// browser allows six HTTP connections per host and long polls would use them up.
import { WebSocketServer } from "ws";
import { ContextLost } from "./tab.mjs";

/** Resolves and forgets everyone who waits. */
function settleAll(waiting) {
  for (const resolve of waiting) resolve();
  waiting.clear();
}

class Agent {
  console = [];
  #socket;
  #arrived = new Set();
  #shown = new Set();
  #departed = new Set();
  #pending = new Map();
  #order_id = 0;

  connect(socket) {
    if (this.connected) this.#drop();
    this.#socket = socket;
    socket.on("message", (data) => this.#receive(JSON.parse(data)));
    socket.on("close", () => this.#socket === socket && this.#drop());
    settleAll(this.#arrived);
  }

  get connected() {
    return this.#socket !== undefined;
  }

  /** Resolves once a page of this tab takes orders. The caller brings the deadline. */
  arrival() {
    if (this.connected) return Promise.resolve();
    return new Promise((resolve) => this.#arrived.add(resolve));
  }

  /** Resolves when the next page of this tab has loaded and is shown. */
  nextShown() {
    return new Promise((resolve) => this.#shown.add(resolve));
  }

  /** Tells the page to "assign" an address, "reload" or "close". It gives no answer. */
  command(command, argument) {
    if (!this.connected) throw new ContextLost("no page takes orders");
    this.#socket.send(JSON.stringify({ command, argument }));
  }

  /** Resolves once the page that takes orders now has gone. */
  departure() {
    return new Promise((resolve) => this.#departed.add(resolve));
  }

  /** Evaluates an expression in the page and resolves with the text it gives. */
  order(expression) {
    if (!this.connected) return Promise.reject(new ContextLost("no page takes orders"));
    this.#order_id += 1;
    const id = this.#order_id;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify({ id, expression }));
    });
  }

  #receive(report) {
    if (report.shown) return settleAll(this.#shown);
    if (report.console !== undefined) return this.console.push(report.console);
    const waiting = this.#pending.get(report.id);
    this.#pending.delete(report.id);
    if (report.error !== undefined) waiting?.reject(new Error(report.error));
    else waiting?.resolve(report.value);
  }

  #drop() {
    this.#socket?.terminate();
    this.#socket = undefined;
    for (const { reject } of this.#pending.values()) reject(new ContextLost("the page went away"));
    this.#pending.clear();
    settleAll(this.#departed);
  }
}

export class OrderChannel {
  #sockets = new WebSocketServer({ noServer: true });
  #agents = new Map();

  agent(tab_id) {
    if (!this.#agents.has(tab_id)) this.#agents.set(tab_id, new Agent());
    return this.#agents.get(tab_id);
  }

  /** Takes an HTTP upgrade. Other paths than ours are left to be refused. */
  accept(request, socket, head) {
    const url = new URL(request.url, "http://127.0.0.1");
    if (url.pathname !== "/__orders") return socket.destroy();
    this.#sockets.handleUpgrade(request, socket, head, (accepted) => {
      this.agent(url.searchParams.get("tab")).connect(accepted);
    });
  }

  close() {
    for (const client of this.#sockets.clients) client.terminate();
    this.#sockets.close();
  }
}
