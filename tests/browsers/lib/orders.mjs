// Orders to pages and their reports, for browsers that no driver controls.
// A page dials in with the tab id it was opened with. One WebSocket per page, because a
// browser allows six HTTP connections per host and long polls would use them up.
import { WebSocketServer } from "ws";
import { ContextLost } from "./tab.mjs";

class Agent {
  console = [];
  #socket;
  #arrived = new Set();
  #pending = new Map();
  #order_id = 0;

  connect(socket) {
    this.#drop();
    this.#socket = socket;
    socket.on("message", (data) => this.#receive(JSON.parse(data)));
    socket.on("close", () => this.#socket === socket && this.#drop());
    for (const resolve of this.#arrived) resolve();
    this.#arrived.clear();
  }

  get connected() {
    return this.#socket !== undefined;
  }

  /** Resolves once a page of this tab takes orders. The caller brings the deadline. */
  arrival() {
    if (this.connected) return Promise.resolve();
    return new Promise((resolve) => this.#arrived.add(resolve));
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
