import type { Limits } from "../../limits.js";
import type { Bus } from "../../types.js";
import type { AuthorizeContext, Grant, HubLimits, HubServerOptions } from "../types.js";

/** What a hub in Durable Objects is made with. */
export interface CloudflareHubOptions<Env = unknown>
  extends Pick<HubServerOptions, "origins" | "metrics" | "log"> {
  /** The name of the binding of the class `hub.Object`. */
  binding: string;
  /**
   * Who may come in, and what they may do there: asked in the Worker, before an object wakes.
   * `anonymous`: everybody, with every right. Without it nobody comes in, for a Worker does not
   * learn from where it is reached. A function that throws lets nobody in.
   */
  authorize?:
    | "anonymous"
    | ((request: Request, context: AuthorizeContext<Env>) => Grant | Promise<Grant>);
  /** Runs in the object whenever it wakes, before a client is answered: serve, process there. */
  start?(bus: Bus, context: { name: string; env: Env }): void | Promise<void>;
  /** Those of each bus, and of its sockets. */
  limits?: Partial<Limits & Pick<HubLimits, "socket_bytes_max" | "socket_silence_ms">>;
}

/** A Durable Object that is the hub of one bus. */
export interface HubObject {
  fetch(request: Request): Promise<Response>;
  webSocketMessage(socket: unknown, message: ArrayBuffer | string): Promise<void>;
  webSocketClose(socket: unknown, code: number): Promise<void>;
  webSocketError(socket: unknown): Promise<void>;
  alarm(): Promise<void>;
}

/** A hub on Cloudflare: a Worker, and an object for each bus. It is what a Worker exports. */
export interface CloudflareHub<Env = unknown> {
  /** The class of the objects, for the binding. */
  readonly Object: new (state: never, env: Env) => HubObject;
  /**
   * Answers upgrades and what is told in docs/guide/cloudflare.md. The last part of a path names
   * the bus. Never rejects.
   */
  readonly fetch: (request: Request, env: Env, context?: unknown) => Promise<Response>;
  /**
   * A client of the bus of this name, with every right, for code of the Worker. It is of the
   * request that asks for it: close it before that is answered, or in `waitUntil`.
   */
  readonly bus: (name: string, env: Env) => Promise<Bus>;
}
