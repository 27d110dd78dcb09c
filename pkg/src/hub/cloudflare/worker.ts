import { createBus } from "virtual:main";

import { CODES } from "../../codes.generated.js";
import { invalid, isTabmqError, TabmqError } from "../../errors.js";
import { LIMITS } from "../../limits.js";
import { attempt } from "../../pending.js";
import type { Bus, ConnectOptions } from "../../types.js";
import { refusalOf } from "../admission.js";
import { granted, type RawGrant, tellable, tokenOf } from "../authorize.js";
import { PROTOCOL } from "../doors.js";
import { Http } from "../http.js";
import { failure } from "../http_failure.js";
import { limitedLog, type Log, openLog } from "../log.js";
import { decode } from "../routes.js";
import { CLOSE_CODES } from "../sockets.js";
import { DIAL } from "../symbol.js";
import { type ObjectCall, withCall } from "./call.js";
import { BusObject } from "./object.js";
import { type CheckedCloudflare, checkCloudflare } from "./options.js";
import {
  type ObjectNamespace,
  type ObjectState,
  type ServerSocket,
  socketPair,
  upgraded,
} from "./platform.js";
import { stubSocket } from "./stub_socket.js";
import type { CloudflareHub, CloudflareHubOptions } from "./types.js";

/** What is kept with a socket has 16 KiB, and says a little more than the grant. */
const GRANT_BYTES_MAX = 15 * 1024;
/** What code of the Worker may do. */
const EVERYTHING: RawGrant = {
  user: "$worker",
  publish: ["#"],
  subscribe: ["#"],
  consume: ["#"],
  serve: ["#"],
  call: ["#"],
  admin: true,
};
/** The close code of a socket that broke. */
const LOST = 1006;
/** Requests of the Worker itself are for no host. */
const NOWHERE = "https://hub.invalid/";

/** A hub on Cloudflare. Throws `INVALID` for an option. */
export function createHub<Env = unknown>(options: CloudflareHubOptions<Env>): CloudflareHub<Env> {
  const checked = checkCloudflare(options as CloudflareHubOptions<object>);
  const log = openLog(checked, checked.log);
  const doorOf = (env: Env) => new Door(checked, log, env as object);
  return {
    Object: objectOf(options, checked),
    fetch: (request, env) => doorOf(env).answer(request),
    bus: (name, env) => attempt(() => doorOf(env).bus(name)),
  };
}

/** The class of the objects. */
function objectOf<Env>(options: CloudflareHubOptions<Env>, checked: CheckedCloudflare) {
  return class {
    readonly #object: BusObject;

    constructor(state: unknown, env: Env) {
      this.#object = new BusObject(state as ObjectState, {
        limits: checked.of_objects,
        own: checked.own,
        log: openLog(this, checked.log),
        start: (bus, name) => options.start?.(bus, { name, env }),
        regrant: async (bus, token) => {
          // The request that opened the socket is gone with the object that slept.
          const context = { bus, token, renewal: true, env: env as object };
          return checkLength(await granted(checked.authorize, new Request(NOWHERE), context));
        },
      });
    }

    fetch(request: Request): Promise<Response> {
      return this.#object.fetch(request);
    }

    async webSocketMessage(socket: unknown, message: ArrayBuffer | string): Promise<void> {
      this.#object.webSocketMessage(socket as ServerSocket, message);
    }

    async webSocketClose(socket: unknown, code: number): Promise<void> {
      this.#object.socketEnded(socket as ServerSocket, code);
    }

    async webSocketError(socket: unknown): Promise<void> {
      this.#object.socketEnded(socket as ServerSocket, LOST);
    }

    alarm(): Promise<void> {
      return this.#object.alarm();
    }
  };
}

/** The Worker, for one request: judges who comes, and passes on what is let in. */
class Door {
  readonly #options: CheckedCloudflare;
  readonly #log: Log;
  readonly #env: object;

  constructor(options: CheckedCloudflare, log: Log, env: object) {
    this.#options = options;
    this.#log = log;
    this.#env = env;
  }

  answer(request: Request): Promise<Response> {
    if (request.headers.get("upgrade")?.toLowerCase() === "websocket")
      return this.#upgrade(request).catch((error: unknown) => failure(error));
    const log = this.#log;
    const http = new Http({
      options: this.#options,
      log,
      limited: limitedLog(log),
      closing: new AbortController().signal,
      health: () => ({}),
      metricsOf: (query) => {
        const bus = query.get("bus");
        if (!bus) throw invalid("metrics are those of one bus: ?bus=NAME", "bus");
        return bus;
      },
      metrics: async (bus) => {
        const response = await this.#ask(new Request(NOWHERE), { kind: "metrics", bus });
        return response.text();
      },
      store: async (target, passed) =>
        copied(await this.#ask(passed, { kind: "store", bus: target.bus, target })),
    });
    return http.answer(request, undefined, this.#env);
  }

  async bus(name: string): Promise<Bus> {
    // Where others have grants, who has none may do nothing.
    const with_grant = typeof this.#options.authorize === "function" && { grant: EVERYTHING };
    const dial = () => {
      const headers = { upgrade: "websocket" };
      const call: ObjectCall = { kind: "socket", bus: name, ...with_grant };
      return this.#ask(new Request(NOWHERE, { headers }), call);
    };
    // What is written down here would end with the request.
    const options = { hub: NOWHERE, durability: "strict", [DIAL]: stubSocket(dial) };
    const bus = createBus(name, options as ConnectOptions);
    await bus.ready();
    return bus;
  }

  async #upgrade(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const address = request.headers.get("cf-connecting-ip") ?? undefined;
    const refuse = (why: string) => this.#log("warn", { event: "refused", why, address });
    const bus = decode(pathname.split("/").at(-1));
    if (!bus) {
      refuse("the path ends with the name of a bus");
      throw new TabmqError("NOT_FOUND", "the path ends with the name of a bus");
    }
    const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(/, */);
    if (!offered.includes(PROTOCOL)) {
      refuse(`the subprotocol "${PROTOCOL}" is not offered`);
      throw invalid(`the subprotocol "${PROTOCOL}" is not offered`);
    }
    const origin = request.headers.get("origin") ?? undefined;
    const refusal = refusalOf({ origin, localAddress: undefined }, this.#options);
    if (refusal) {
      refuse(refusal.why);
      return refused(CODES.NOT_AUTHORIZED, refusal.why);
    }
    try {
      checkName(bus);
      const token = tokenOf(offered, request.headers.get("authorization"));
      const context = { bus, token, renewal: false, env: this.#env };
      const grant = checkLength(await granted(this.#options.authorize, request, context));
      const call: ObjectCall = {
        kind: "socket",
        bus,
        ...(grant && { grant }),
        ...(address !== undefined && { address }),
      };
      return await this.#ask(new Request(NOWHERE, { headers: { upgrade: "websocket" } }), call);
    } catch (error) {
      if (isTabmqError(error, "INTERNAL"))
        this.#log("error", { event: "authorize-failed", bus, message: error.message });
      else refuse(tellable(error));
      const code = isTabmqError(error) ? error.code : "UNAVAILABLE";
      return refused(CODES[code], tellable(error));
    }
  }

  async #ask(request: Request, call: ObjectCall): Promise<Response> {
    checkName(call.bus);
    const { binding } = this.#options;
    const namespace = (this.#env as Record<string, ObjectNamespace | undefined> | null)?.[binding];
    if (typeof namespace?.idFromName !== "function")
      throw new TabmqError("INTERNAL", `there is no binding "${binding}" of Durable Objects`);
    const stub = namespace.get(namespace.idFromName(call.bus) as never);
    return stub.fetch(withCall(request, call));
  }
}

/** Each name would be an object of its own, so the longest is not for the object to refuse. */
function checkName(bus: string): void {
  const { length } = new TextEncoder().encode(bus);
  if (!bus || length > LIMITS.name_bytes_max)
    throw invalid(`the name of a bus has at most ${LIMITS.name_bytes_max} bytes`, "bus");
}

function checkLength(grant: RawGrant | undefined): RawGrant | undefined {
  const { length } = new TextEncoder().encode(JSON.stringify(grant ?? null));
  if (length > GRANT_BYTES_MAX)
    throw new TabmqError("INTERNAL", "authorize: the grant is too long");
  return grant;
}

/** Pages hear of no answer to an upgrade, but of the code with which a socket is closed. */
function refused(code: number, why: string): Response {
  const { near, far } = socketPair();
  near.accept();
  near.close(CLOSE_CODES + code, why);
  return upgraded(far, PROTOCOL);
}

/** The answer of an object, whose headers can be added to. */
function copied(response: Response): Response {
  return new Response(response.body, response);
}
