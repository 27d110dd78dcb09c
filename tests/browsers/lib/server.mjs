// Serves folders on 127.0.0.1 and carries orders to pages and reports back.
// Each server is an origin of its own, so tests that share a browser share no storage.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { OrderChannel } from "./orders.mjs";
import { within } from "./tab.mjs";

const AGENT = fileURLToPath(new URL("./agent.js", import.meta.url));
const AGENT_PATH = "/__agent.js";
const REPORT_PATH = "/__report";
const REPORT_MS = 10_000;

const MEDIA_TYPES = {
  ".css": "text/css; charset=utf-8",
  ".csv": "text/csv; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
};

/** What pages send by POST to /__report?name=NAME, kept by name until the test takes it. */
class Reports {
  #kept = new Map();
  #takers = new Map();

  add(name, report) {
    const taker = this.#takers.get(name)?.shift();
    if (taker !== undefined) return taker(report);
    this.#kept.set(name, [...(this.#kept.get(name) ?? []), report]);
  }

  take(name) {
    const kept = this.#kept.get(name) ?? [];
    if (kept.length > 0) return Promise.resolve(kept.shift());
    return new Promise((resolve) => {
      this.#takers.set(name, [...(this.#takers.get(name) ?? []), resolve]);
    });
  }
}

/** The script comes first, so that it sees the console and errors of every other one. */
function withAgent(html) {
  const script = `<script src="${AGENT_PATH}"></script>`;
  return html.includes("<head>") ? html.replace("<head>", `<head>${script}`) : script + html;
}

/** Each port that a server of this process ever had. */
const used = new Set();

/** Listens on a port whose origin no page has seen: the system gives the same one out again. */
async function listen(http) {
  for (;;) {
    await new Promise((resolve, reject) => {
      http.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    const { port } = http.address();
    if (!used.has(port)) {
      used.add(port);
      return port;
    }
    await new Promise((resolve) => http.close(resolve));
  }
}

export class TestServer {
  #http;
  #folders;
  #headers = new Map();
  #handlers = new Map();
  #upgrades = new Map();
  #orders;
  #with_agent;
  #upgraded = new Set();
  #reports = new Reports();

  /**
   * `folders` maps URL prefixes to folders, longest prefix first when several match.
   * With `orders`, every page takes its orders there, which engines without a driver need.
   */
  static async start({ folders, orders }) {
    const server = new TestServer();
    server.#folders = Object.entries(folders).sort(([a], [b]) => b.length - a.length);
    server.#with_agent = orders !== undefined;
    server.#orders = orders ?? new OrderChannel();
    server.#http = createServer((request, response) => server.#answer(request, response));
    server.#http.on("upgrade", (request, socket, head) => {
      // An upgraded connection is no longer the HTTP server's to close.
      server.#upgraded.add(socket);
      socket.on("close", () => server.#upgraded.delete(socket));
      const { pathname } = new URL(request.url, server.origin);
      const accept = server.#upgrades.get(pathname);
      if (accept !== undefined) accept(request, socket, head);
      else server.#orders.accept(request, socket, head);
    });
    server.port = await listen(server.#http);
    server.origin = `http://127.0.0.1:${server.port}`;
    return server;
  }

  url(path) {
    return new URL(path, this.origin).href;
  }

  /** Headers added to the answers for one path, for example a content security policy. */
  setHeaders(path, headers) {
    this.#headers.set(path, headers);
  }

  /** `handle(request, response)` answers this path instead of a file. */
  setHandler(path, handle) {
    this.#handlers.set(path, handle);
  }

  /** `accept(request, socket, head)` takes sockets that are opened to this path. */
  setUpgrade(path, accept) {
    this.#upgrades.set(path, accept);
  }

  /** The oldest report of that name not yet taken; waits for one. */
  takeReport(name, deadline_ms = REPORT_MS) {
    return within(deadline_ms, `a page reports "${name}"`, this.#reports.take(name));
  }

  async close() {
    for (const socket of this.#upgraded) socket.destroy();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  async #answer(request, response) {
    const { pathname, searchParams } = new URL(request.url, this.origin);
    const handle = this.#handlers.get(pathname);
    if (handle !== undefined) return handle(request, response);
    if (pathname === REPORT_PATH) {
      const body = await request.setEncoding("utf8").toArray();
      this.#reports.add(searchParams.get("name"), JSON.parse(body.join("")));
      return response.writeHead(204).end();
    }
    // Browsers ask for it unbidden; a missing one would be an error in the console.
    if (pathname === "/favicon.ico") return response.writeHead(204).end();
    try {
      const file = pathname === AGENT_PATH ? AGENT : this.#locate(pathname);
      const type = MEDIA_TYPES[extname(file)] ?? "application/octet-stream";
      let body = await readFile(file);
      if (this.#with_agent && extname(file) === ".html") body = withAgent(body.toString());
      // `no-store` would keep pages out of the back/forward cache.
      const headers = { "content-type": type, "cache-control": "no-cache" };
      response.writeHead(200, { ...headers, ...this.#headers.get(pathname) });
      response.end(body);
    } catch (error) {
      response.writeHead(error.code === "ENOENT" || error.code === "EISDIR" ? 404 : 500);
      response.end(String(error.code ?? error));
    }
  }

  #locate(pathname) {
    const path = normalize(decodeURIComponent(pathname));
    for (const [prefix, folder] of this.#folders) {
      if (!path.startsWith(prefix)) continue;
      const rest = path.slice(prefix.length);
      const file = join(folder, rest === "" || rest.endsWith("/") ? `${rest}index.html` : rest);
      if (file.startsWith(normalize(folder + sep))) return file;
    }
    throw Object.assign(new Error(`nothing serves ${pathname}`), { code: "ENOENT" });
  }
}
