import type { Limits } from "../limits.js";
import type { Bus } from "../types.js";
import type { HubLogEntry } from "./log.js";

export type { HubLogEntry };

/** The variables of the process. */
export type ProcessEnv = Readonly<Record<string, string | undefined>>;

/** What `authorize` is asked about. */
export interface AuthorizeContext<Env = unknown> {
  /** Empty for what concerns the whole hub: `GET /metrics`, which needs `admin`. */
  readonly bus: string;
  /** What the client gave as `hub.token`, or what stands behind `Bearer` in a plain request. */
  readonly token: string | undefined;
  /** Another token for a socket that is open. One that throws, or another user, closes it. */
  readonly renewal: boolean;
  /**
   * What `hub.fetch` or `hub.upgrade` was given beside the request, for a renewal by the upgrade of
   * its socket. Else `process.env`. On Cloudflare what the Worker is bound to.
   */
  readonly env: Env;
}

/**
 * What a user may do. Lists are of patterns, in which `*` stands for one word and `#` for zero or
 * more; what is absent is not granted.
 */
export interface Grant {
  user: string;
  /** From then on the connection is over, unless another token came before. */
  expires?: Date;
  /** Topics and queues to which it may send. */
  publish?: string[];
  /** Topics to which it may listen. */
  subscribe?: string[];
  /** Queues from which it may take. */
  consume?: string[];
  /** Services and roles for which it may stand. */
  serve?: string[];
  /** Services that it may call. */
  call?: string[];
  /** What is done to queues as a whole, and all about policies. */
  admin?: boolean;
}

/** What a hub is made with. `Env` is what `authorize` is given as `env`. */
export interface HubServerOptions<Env = ProcessEnv> {
  /**
   * Who may come in, and what they may do there. `anonymous`: everybody, with every right. Without
   * it a hub answers only on addresses of this machine. A function that throws lets nobody in, and
   * what it threw is told to `log` alone; throw a `TabmqError` with `UNAVAILABLE` if it can't tell
   * now, so that clients try again. `jwt` makes one.
   */
  authorize?:
    | "anonymous"
    | ((request: Request, context: AuthorizeContext<Env>) => Grant | Promise<Grant>);
  /** Runs for each bus before its first client is answered: serve, process and subscribe here. */
  start?(bus: Bus, context: { name: string }): void | Promise<void>;
  /**
   * Origins whose pages may connect, such as `https://shop.example`; `"*"` for all. Default: those
   * of this machine. Programs that are no pages name no origin and are let in.
   */
  origins?: readonly string[];
  /** A folder in which each bus has one of its own. Without it what is stored lives in memory. */
  storage?: string;
  limits?: Partial<Limits & HubLimits>;
  /** `GET {base}/metrics` tells what is in each queue, in the OpenMetrics text format. */
  metrics?: boolean;
  /** Told what happens: who comes and goes, who is turned away, which buses open. No message. */
  log?(entry: HubLogEntry): void;
}

/** Bounds of a hub beside those of each bus. */
export interface HubLimits {
  /** Buses that are open at once; whoever asks for one more is refused. */
  buses_max: number;
  /** What may wait to be sent to one socket; past it it is dropped, and its client resumes. */
  socket_bytes_max: number;
  /** Sockets of one user, over all buses; one more is closed with `FULL`, and dials again later. */
  user_sockets_max: number;
  /**
   * What may come from one user in a second, over all its sockets: a second's worth at once, then
   * at this rate. Past it nothing more is read from its sockets for a while, so its clients wait;
   * requests are refused with `FULL`. Users are those of grants. At least 65 536.
   */
  user_bytes_per_s: number;
  /**
   * The same for messages of sockets, each of which may carry many sends, and for requests. At
   * least 1000.
   */
  user_messages_per_s: number;
  /** HTTP requests that are answered at once; one more is refused with `FULL`. */
  http_requests_max: number;
  /** How long `close` waits for HTTP requests that are under way. */
  drain_ms: number;
  /**
   * How often a socket is asked for a sign of life. It is dropped if none came since the last time,
   * or if nothing was ever said on it.
   */
  socket_silence_ms: number;
}

/** What a hub reads of an HTTP request; `http.IncomingMessage` of Node.js is one. */
export interface UpgradeRequest {
  readonly url?: string | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly socket: {
    readonly localAddress?: string | undefined;
    readonly remoteAddress?: string | undefined;
  };
}

/** The connection of an upgrade; `net.Socket` of Node.js is one. */
export interface UpgradeSocket {
  end(text: string): unknown;
  on(event: "error", run: () => void): unknown;
}

/** An HTTP request with its body; `http.IncomingMessage` of Node.js is one. */
export interface PlainRequest extends UpgradeRequest {
  readonly method?: string | undefined;
  readonly rawHeaders: readonly string[];
  readonly complete: boolean;
  pause(): unknown;
  resume(): unknown;
  on(event: "data", run: (chunk: Uint8Array) => void): unknown;
  on(event: "end" | "close", run: () => void): unknown;
  on(event: "error", run: (error: Error) => void): unknown;
}

/** What is answered; `http.ServerResponse` of Node.js is one. */
export interface PlainResponse {
  writeHead(status: number, headers: Record<string, string>): unknown;
  end(body: Uint8Array): unknown;
  on(event: "close", run: () => void): unknown;
}

/** A hub in Node.js: the node of any number of buses, which clients reach through WebSockets. */
export interface Hub extends AsyncDisposable {
  /** The bus of this name in this process: server code publishes, calls and consumes with it. */
  bus(name: string): Promise<Bus>;
  /**
   * For `server.on("upgrade", hub.upgrade)`. The last part of the path names the bus. `env` is
   * given to `authorize`.
   */
  readonly upgrade: (
    request: UpgradeRequest,
    socket: UpgradeSocket,
    head: Uint8Array,
    env?: object,
  ) => void;
  /** WebSockets that are open. */
  readonly sockets: number;
  /** For `createServer(hub.request)`: answers as `fetch` does. */
  readonly request: (request: PlainRequest, response: PlainResponse) => void;
  /**
   * Answers `POST {base}/{bus}/topics/{topic}`, `POST {base}/{bus}/queues/{queue}`,
   * `GET {base}/health` and, with the option, `GET {base}/metrics`; see docs/guide/hub.md. Never
   * rejects. `env` is what a server tells beside the request, such as `{ incoming }` of hono in
   * Node.js: a hub without `authorize` needs the address in it, and `authorize` is given it.
   */
  readonly fetch: (request: Request, env?: object) => Promise<Response>;
  /** Stores everything, and closes each socket so that its client looks for another door. */
  close(): Promise<void>;
}

/** Where `serveHub` listens. */
export interface ServeOptions {
  hub: Hub;
  /** Default 0: a free one. */
  port?: number;
  /** Default `127.0.0.1`. */
  host?: string;
}

/** A hub that listens. */
export interface ServedHub extends AsyncDisposable {
  /** Begins with `ws://`; the name of a bus is appended by clients. */
  readonly url: string;
  readonly port: number;
  /** Connections that are open. */
  readonly sockets: number;
  /** Takes no new connection, then closes the hub. */
  close(): Promise<void>;
}
