import { closed, invalid, isTabmqError, TabmqError } from "../errors.js";
import { refusalOf, type Visitor } from "./admission.js";
import { allows, granted, type RawGrant, refusedBecause, tokenOf } from "./authorize.js";
import { failure, HttpError, json } from "./http_failure.js";
import type { Limited, Log } from "./log.js";
import { OPEN_METRICS } from "./openmetrics.js";
import type { CheckedServer } from "./options.js";
import { METHODS, routeOf, type Target } from "./routes.js";
import type { Users } from "./users.js";

/** What the routes need of a hub. */
export interface HttpHub {
  readonly options: CheckedServer;
  readonly log: Log;
  readonly limited: Limited;
  /** Absent where requests of a user meet nowhere. */
  readonly users?: Users | undefined;
  /** Aborts when the hub begins to close. */
  readonly closing: AbortSignal;
  /** What is told of it beside its status: `failed` counts buses that do not work. */
  health(): { readonly failed?: number };
  /** The bus whose metrics are asked for; empty for all of them. Throws if that can't be had. */
  metricsOf(query: URLSearchParams): string;
  /** In the OpenMetrics text format. */
  metrics(bus: string): Promise<string>;
  /** Stores what the request brings, which is granted. `took` is told how long its body is. */
  store(target: Target, request: Request, took: Took | undefined): Promise<Response>;
}

/** Told what came of a body. */
export type Took = (bytes: number) => void;

/** The routes of a hub. */
export class Http {
  readonly #hub: HttpHub;
  /** Requests that change something and are under way. */
  readonly #under_way = new Set<Promise<unknown>>();

  constructor(hub: HttpHub) {
    this.#hub = hub;
  }

  /**
   * Answers every request, also those that fail. `told` is what a server says beside it, `env` is
   * for `authorize`.
   */
  async answer(request: Request, told: object | undefined, env: object): Promise<Response> {
    const origin = request.headers.get("origin") ?? undefined;
    const response = await this.#admit(request, origin, told, env).catch((error: unknown) => {
      // What is no error of ours is told to nobody else.
      if (!isTabmqError(error)) console.error(error);
      return failure(error);
    });
    // A page of another origin that was let in may read the answer.
    if (origin !== undefined && response.status !== 403)
      response.headers.set("access-control-allow-origin", origin);
    response.headers.append("vary", "origin");
    return response;
  }

  /** Resolves once no request is under way. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#under_way);
  }

  async #admit(
    request: Request,
    origin: string | undefined,
    told: object | undefined,
    env: object,
  ): Promise<Response> {
    const url = new URL(request.url);
    const { hostname } = url;
    const visitor: Visitor = { origin, hostname, localAddress: addressOf(told, "localAddress") };
    const refusal = refusalOf(visitor, this.#hub.options);
    if (refusal) {
      const { why, reason } = refusal;
      this.#hub.log("warn", { event: "refused", why, address: addressOf(told, "remoteAddress") });
      throw new TabmqError("NOT_AUTHORIZED", why, { data: { reason } });
    }
    const route = routeOf(url.pathname);
    if (!route || (route.kind === "metrics" && !this.#hub.options.metrics))
      throw new TabmqError("NOT_FOUND", `there is nothing at ${url.pathname}`);
    const methods = METHODS[route.kind];
    if (request.method === "OPTIONS") return preflight(methods, request.headers);
    if (!methods.includes(request.method)) {
      const error = invalid(`${request.method} is no method of ${url.pathname}`, "method");
      throw new HttpError(405, error, { allow: methods.join(", ") });
    }
    if (route.kind === "health") return this.#health(request.method);
    const bus = route.kind === "metrics" ? this.#hub.metricsOf(url.searchParams) : route.bus;
    const address = addressOf(told, "remoteAddress");
    const grant = await this.#granted(bus, request, address, env);
    if (route.kind === "metrics") {
      if (grant && !grant.admin) throw notGranted("admin");
      return this.#metrics(request.method, bus);
    }
    if (grant && !allows(grant.publish, route.name)) throw notGranted("publish");
    const took = grant && this.#hub.users?.request(grant.user);
    return this.#bounded(() => this.#hub.store(route, request, took));
  }

  async #granted(
    bus: string,
    request: Request,
    address: string | undefined,
    env: object,
  ): Promise<RawGrant | undefined> {
    const token = tokenOf([], request.headers.get("authorization"));
    try {
      return await granted(this.#hub.options.authorize, bare(request), {
        bus,
        token,
        renewal: false,
        env,
      });
    } catch (error) {
      const why = refusedBecause(error);
      if (why !== undefined) this.#hub.log("warn", { event: "refused", why, address });
      throw error;
    }
  }

  #health(method: string): Response {
    const { closing } = this.#hub;
    const told = this.#hub.health();
    const status = closing.aborted ? "closing" : told.failed ? "degraded" : "ok";
    const response = json(closing.aborted ? 503 : 200, {
      status,
      ...told,
    });
    return method === "HEAD" ? new Response(null, response) : response;
  }

  async #metrics(method: string, bus: string): Promise<Response> {
    const text = await this.#hub.metrics(bus);
    return new Response(method === "HEAD" ? null : text, {
      headers: { "content-type": OPEN_METRICS, "cache-control": "no-store" },
    });
  }

  async #bounded(run: () => Promise<Response>): Promise<Response> {
    if (this.#hub.closing.aborted) throw closed("the hub");
    if (this.#under_way.size >= this.#hub.options.own.http_requests_max) {
      this.#hub.limited("http_requests_max");
      const data = { reason: "http_requests_max" };
      throw new TabmqError("FULL", "the hub answers too many requests", { data });
    }
    const running = run();
    this.#under_way.add(running);
    return running.finally(() => this.#under_way.delete(running));
  }
}

/** Who decides has no need of the body, which may be long. */
const bare = ({ url, method, headers }: Request) => new Request(url, { method, headers });

const notGranted = (what: string) =>
  new TabmqError("NOT_AUTHORIZED", `${what} is not granted`, { data: { reason: what } });

/** To the browser of a page of another origin, which asks before it sends. */
function preflight(methods: readonly string[], asked: Headers): Response {
  const headers = asked.get("access-control-request-headers");
  return new Response(null, {
    status: 204,
    headers: {
      allow: [...methods, "OPTIONS"].join(", "),
      "access-control-allow-methods": methods.join(", "),
      ...(headers !== null && { "access-control-allow-headers": headers }),
    },
  });
}

/** What a server of Node.js says of the connection, in the place where hono has it as well. */
function addressOf(told: object | undefined, which: "localAddress" | "remoteAddress") {
  const { incoming } = (told ?? {}) as { incoming?: { socket?: { [which]?: unknown } } };
  const address = (incoming?.socket as Record<string, unknown> | undefined)?.[which];
  return typeof address === "string" ? address : undefined;
}
