import process from "node:process";

import { type WebSocket, WebSocketServer } from "ws";

import { CODES } from "../codes.generated.js";
import { invalid, isTabmqError } from "../errors.js";
import { LIMITS } from "../limits.js";
import type { Bus } from "../types.js";
import { attempt } from "../pending.js";
import { refusalOf } from "./admission.js";
import { asRequest, granted, type RawGrant, refusedBecause, tokenOf } from "./authorize.js";
import { PROTOCOL } from "./doors.js";
import { HubSocket } from "./hub_socket.js";
import { Http } from "./http.js";
import { failure } from "./http_failure.js";
import { storeMessage } from "./http_store.js";
import { type Limited, limitedLog, type Log, openLog } from "./log.js";
import { metricsOf } from "./metrics.js";
import { adapt, respond } from "./node_request.js";
import { checkServer } from "./options.js";
import { Rooms } from "./rooms.js";
import { decode } from "./routes.js";
import { CLOSE_CODES } from "./sockets.js";
import { Users } from "./users.js";
import type {
  AuthorizeContext,
  Hub,
  HubServerOptions,
  PlainRequest,
  PlainResponse,
  ProcessEnv,
  UpgradeRequest,
  UpgradeSocket,
} from "./types.js";

/** The close code of a server that is about to be another. */
const TRY_AGAIN_LATER = 1013;

/**
 * A hub for servers of Node.js. Throws `INVALID` for an option. `Env` is to be named if `hub.fetch`
 * or `hub.upgrade` is given another one than the variables of the process.
 */
export function createHub<Env = ProcessEnv>(options: HubServerOptions<Env> = {}): Hub {
  return new NodeHub(options as HubServerOptions<object>);
}

class NodeHub implements Hub {
  readonly #options;
  readonly #rooms: Rooms;
  readonly #server: WebSocketServer;
  readonly #log: Log;
  /** Buses that did not answer when they were looked at last. */
  #silent: ReadonlySet<string> = new Set();
  readonly #limited: Limited;
  readonly #users: Users;
  readonly #http: Http;
  readonly #closing = new AbortController();
  /** Responses that are not sent yet. */
  readonly #answering = new Set<Promise<void>>();
  readonly #open = new Set<HubSocket>();
  #last_socket = 0;
  #closed: Promise<void> | undefined;

  constructor(options: HubServerOptions<object>) {
    const checked = checkServer(options);
    const { storage = "memory", start, own, of_bus } = checked;
    this.#options = checked;
    this.#log = openLog(this, checked.log);
    const tell = checked.log && this.#log;
    this.#limited = limitedLog(this.#log);
    this.#users = new Users(own, this.#limited);
    const { buses_max } = own;
    this.#rooms = new Rooms({
      options: { storage, limits: of_bus },
      start,
      buses_max,
      log: tell,
      limited: this.#limited,
    });
    this.#http = this.#routes();
    const bound = (name: "body_bytes_max" | "headers_bytes_max" | "fragment_bytes_max") =>
      of_bus[name] ?? LIMITS[name];
    this.#server = new WebSocketServer({
      noServer: true,
      // One to everyone is not cut.
      maxPayload:
        bound("body_bytes_max") + bound("headers_bytes_max") + bound("fragment_bytes_max"),
      perMessageDeflate: false,
      handleProtocols: (offered) => offered.has(PROTOCOL) && PROTOCOL,
    });
  }

  get sockets(): number {
    return this.#open.size;
  }

  async bus(name: string): Promise<Bus> {
    return (await this.#rooms.open(name)).bus;
  }

  readonly fetch = (request: Request, env?: object): Promise<Response> =>
    this.#http.answer(request, env, env ?? process.env);

  readonly request = (incoming: PlainRequest, outgoing: PlainResponse): void => {
    const answering = this.#answer(incoming, outgoing);
    this.#answering.add(answering);
    void answering.finally(() => this.#answering.delete(answering));
  };

  readonly upgrade = (
    request: UpgradeRequest,
    socket: UpgradeSocket,
    head: Uint8Array,
    env: object = process.env,
  ): void => {
    socket.on("error", () => {});
    const { localAddress, remoteAddress: address } = request.socket;
    const refuse = (status: string, why: string) => {
      this.#log("warn", { event: "refused", why, address });
      refuseUpgrade(socket, status, why);
    };
    if (this.#closing.signal.aborted)
      return refuse("503 Service Unavailable", "the hub is closing");
    const name = decode(request.url?.split("?")[0]?.split("/").at(-1));
    if (!name) return refuse("404 Not Found", "the path ends with the name of a bus");
    const offered = String(request.headers["sec-websocket-protocol"] ?? "").split(/, */);
    if (!offered.includes(PROTOCOL))
      return refuse("400 Bad Request", `the subprotocol "${PROTOCOL}" is not offered`);
    const origin = request.headers["origin"] as string | undefined;
    const refusal = refusalOf({ origin, localAddress }, this.#options);
    this.#server.handleUpgrade(request, socket, head, (accepted) => {
      if (!refusal) {
        const token = tokenOf(offered, request.headers["authorization"]);
        const asked = { bus: name, env };
        const granting = attempt(() => this.#granted(request, { ...asked, token, renewal: false }));
        const regrant = (another: string) =>
          attempt(() => this.#granted(request, { ...asked, token: another, renewal: true }));
        return this.#accept(accepted, name, address, granting, regrant);
      }
      this.#log("warn", { event: "refused", why: refusal.why, address });
      accepted.on("error", () => {});
      // Pages hear of no answer but this one.
      accepted.close(CLOSE_CODES + CODES.NOT_AUTHORIZED, refusal.why);
    });
  };

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #routes(): Http {
    return new Http({
      options: this.#options,
      log: this.#log,
      limited: this.#limited,
      users: this.#users,
      closing: this.#closing.signal,
      health: () => ({
        buses: this.#rooms.list().length,
        sockets: this.#open.size,
        failed: this.#rooms.failed().length,
      }),
      metricsOf: () => "",
      metrics: () => this.#metrics(),
      store: (target, request, took) =>
        storeMessage(request, {
          target,
          took,
          limits: this.#options.of_bus,
          closing: this.#closing.signal,
          open: (name) => this.bus(name),
        }),
    });
  }

  async #metrics(): Promise<string> {
    const { text, silent } = await metricsOf({
      buses: this.#rooms.list(),
      failed: this.#rooms.failed(),
      sockets: this.#open.size,
    });
    for (const bus of silent)
      if (!this.#silent.has(bus)) this.#log("error", { event: "bus-silent", bus });
    this.#silent = new Set(silent);
    return text;
  }

  async #answer(incoming: PlainRequest, outgoing: PlainResponse): Promise<void> {
    const gone = new Promise<void>((resolve) => outgoing.on("close", resolve));
    await respond(outgoing, await this.#responseTo(incoming));
    await gone;
  }

  async #responseTo(incoming: PlainRequest): Promise<Response> {
    let request: Request;
    try {
      request = adapt(incoming);
    } catch (error) {
      return failure(invalid(`this is no request: ${(error as Error).message}`));
    }
    return this.#http.answer(request, { incoming }, process.env);
  }

  async #close(): Promise<void> {
    this.#log("info", { event: "closing" });
    const { drain_ms } = this.#options.own;
    this.#closing.abort();
    await within(drain_ms, this.#http.idle());
    await this.#rooms.close();
    // Each client resumes elsewhere, or here once there is a hub again.
    const ending = [...this.#open].map((socket) => socket.end(TRY_AGAIN_LATER));
    await within(drain_ms, Promise.all([...this.#answering, ...ending]));
    this.#users.close();
    this.#server.close();
    this.#log("info", { event: "closed" });
  }

  #granted(request: UpgradeRequest, context: AuthorizeContext<object>) {
    const { authorize } = this.#options;
    if (typeof authorize !== "function") return undefined;
    return granted(authorize, asRequest(request), context);
  }

  #accept(
    socket: WebSocket,
    bus: string,
    address: string | undefined,
    granting: Promise<RawGrant | undefined>,
    regrant: (token: string) => Promise<RawGrant | undefined>,
  ): void {
    const number = (this.#last_socket += 1);
    // Nothing is opened for whoever may not come in.
    const opening = granting.then(() => this.#rooms.open(bus));
    const around = {
      limits: this.#options.own,
      users: this.#users,
      limited: this.#limited,
      lost: (client: string, count: number) =>
        this.#log("error", { event: "sends-lost", bus, socket: number, client, count }),
    };
    const accepted = new HubSocket(socket, opening, granting, regrant, around);
    this.#open.add(accepted);
    this.#log("info", { event: "connected", bus, socket: number, address });
    void this.#until(accepted, bus, number, address);
  }

  async #until(
    accepted: HubSocket,
    bus: string,
    socket: number,
    address: string | undefined,
  ): Promise<void> {
    const why = await accepted.ended;
    this.#open.delete(accepted);
    const { failure: failed } = accepted;
    // That of a bus is told by itself.
    if (isTabmqError(failed, "INTERNAL") && failed.message.startsWith("authorize"))
      this.#log("error", { event: "authorize-failed", bus, message: failed.message });
    const refused = refusedBecause(failed);
    if (refused !== undefined) this.#log("warn", { event: "refused", why: refused, address });
    const reason = this.#closing.signal.aborted ? "hub-closing" : why;
    this.#log("info", { event: "disconnected", bus, socket, reason });
  }
}

/** Waits, but not for ever. */
async function within(time_ms: number, work: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, time_ms)));
  await Promise.race([work, over]);
  clearTimeout(timer);
}

function refuseUpgrade(socket: UpgradeSocket, status: string, why: string): void {
  const text = `${why}\n`;
  const head = ["Connection: close", "Content-Type: text/plain", `Content-Length: ${text.length}`];
  socket.end(`HTTP/1.1 ${status}\r\n${head.join("\r\n")}\r\n\r\n${text}`);
}
