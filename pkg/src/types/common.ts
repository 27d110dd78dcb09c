import type { Duration } from "../duration.js";
import type { Limits } from "../limits.js";

/** How long a verb waits for its answer. */
export interface Wait {
  /** Ends the wait with `CANCELLED`. */
  signal?: AbortSignal;
  /** Ends the wait with `TIMEOUT`. Default `limits.verb_timeout_ms`, 30 s; `Infinity` for none. */
  timeout?: Duration;
}

/** Something that goes on until it is closed. */
export interface Live extends Disposable, AsyncDisposable {
  /** Resolves once it takes effect; rejects with the code of its refusal. */
  ready(options?: Wait): Promise<void>;
  /** Takes nothing new from now on. Handlers that run are let finish. */
  close(): void;
  /** Like `close`. With `drain` it resolves once every handler that runs is done. */
  stop(options?: { drain?: boolean; timeout?: Duration }): Promise<void>;
  /** Aborts when it is over; the reason is a `TabmqError`. */
  readonly closed: AbortSignal;
}

export type Durability = "memory" | "relaxed" | "strict";
export type HostKind = "shared-worker" | "worker" | "tab" | "inline" | "hub";
export type StorageKind = "indexeddb" | "files" | "memory";
/** Where a name lives, for life. */
export type Home = "device" | "hub";
export type Status = "idle" | "connecting" | "ready" | "offline" | "closed";
export type MessageHeaders = Readonly<Record<string, string | number | boolean>>;

/** Where the wasm module comes from. Bytes and modules serve where nothing can be fetched. */
export type WasmSource =
  | string
  | URL
  | Request
  | Response
  | BufferSource
  | WebAssembly.Module
  | Promise<Response | BufferSource | WebAssembly.Module>;

/** Turns bodies and arguments into bytes and back. */
export interface Codec {
  encode(value: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

export interface PeerInfo {
  name?: string;
  tags?: Record<string, string>;
}

/** A string, or what gives one when it is needed. */
export type TokenSource = string | (() => string | Promise<string>);

/** How a hub is reached. */
export interface HubOptions {
  /** Begins with `wss://` or `ws://`. Several are doors to one hub, tried in this order. */
  url: string | readonly string[];
  /** Proves to the hub who this is. A function is asked again before what it gave expires. */
  token?: TokenSource;
  /**
   * Filters of the names that live at the hub, from 1 to 64; the rest stays on the device and works
   * while the hub is away. Default `["#"]`: all live at the hub. With another one the bus comes
   * from `connect`, and `createBus` refuses with `INVALID`. See docs/guide/hub.md.
   */
  share?: readonly string[];
}

export interface ConnectOptions {
  /** Keys the local database; one user's messages are never seen by another. */
  user?: string;
  /**
   * `auto`: IndexedDB in browsers, memory elsewhere. Anything else is the path of a folder, for
   * files in Node.js, Deno and Bun; other runtimes refuse it with `UNSUPPORTED`. Each bus and user
   * has a folder of its own in it, which one process uses at a time: others are refused with
   * `UNAVAILABLE`.
   */
  storage?: "auto" | "memory" | (string & {});
  /** What a send that says nothing asks for. Default `relaxed`. */
  durability?: Durability;
  /**
   * Where the node may run. `auto`: in a shared worker, else in a worker of one page, else in a
   * page; pages stand by and take over when the worker dies. `shared-worker`, `worker`: there; a
   * page hosts only if nobody else answers. `tab`: in the page that holds the lock. `inline`: in
   * this realm, shared with nobody. Outside of pages `auto` is the realm itself, in Node.js inline.
   * Rejects with `UNSUPPORTED` where there is none of the kind, with `UNAVAILABLE` if the script of
   * the worker can't be loaded.
   */
  host?: "auto" | Exclude<HostKind, "hub">;
  /**
   * The address of a hub: everything of this bus lives there, or what `share` says, and whoever
   * names the same hub and bus shares it. Storage and durability are then the hub's, and `storage`
   * is that of what stays on the device. See docs/guide/hub.md.
   */
  hub?: string | HubOptions;
  peer?: PeerInfo;
  /**
   * Where the wasm module is; that of the first bus of a realm counts for all. And where the script
   * of the worker is, or how it is started, which is the way under Trusted Types.
   */
  assets?: { wasm?: WasmSource; worker?: string | URL | (() => SharedWorker | Worker) };
  /** In place of the built-in codec; the same for everyone on the bus. */
  codec?: Codec;
  limits?: Partial<Limits>;
}

/** One client on the bus: a tab, a worker or a process. */
export interface Peer {
  /** Empty until the bus was ready once. */
  readonly id: string;
  readonly name: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  /** Where it is seen, on a bus with `share`: a client with two homes has an id in each. */
  readonly home?: Home;
}

/** This client. */
export interface OwnPeer extends Peer {
  /** The id by which peers at the hub know it, on a bus with `share`. */
  readonly hubId?: string;
  /** Changes what the others see. */
  update(info: PeerInfo): void;
}

/** How safe what is stored is. */
export interface Keeping {
  /** What it survives at least. */
  readonly durability: Durability;
  /** The storage is kept: files are, and IndexedDB if the browser has promised it. */
  readonly persisted: boolean;
  /** The browser may clear the storage when it needs room; `bus.persist` asks it not to. */
  readonly evictable: boolean;
  /** An outdated node can't write. */
  readonly fenced: boolean;
  /**
   * This page is embedded and has a storage of its own below the site around it. `false` at the top
   * of a window and below pages of its own origin; `undefined`: the engine does not tell.
   */
  readonly partitioned: boolean | undefined;
  /** The window is a private one. No engine tells, so it is `undefined`. */
  readonly private: boolean | undefined;
}

/** Where the node runs and what its storage promises. */
export interface Host extends Keeping {
  /** Rises with every node. 0 until one is known. */
  readonly epoch: number;
  /** The node runs in this realm. */
  readonly here: boolean;
  readonly kind: HostKind;
  readonly storage: StorageKind;
  /** The strongest level a send may ask for. */
  readonly durability: Durability;
}
