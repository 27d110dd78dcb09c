import type { Code } from "../codes.generated.js";
import type { Duration } from "../duration.js";
import type { TabmqError } from "../errors.js";
import type {
  Matching,
  Name,
  QueueBody,
  QueueResult,
  Queues,
  Schema,
  Services,
  Topics,
} from "../schema.js";
import type { Watch } from "../watch.js";
import type { Admin } from "./admin.js";
import type { Home, Host, Keeping, OwnPeer, Peer, Status, Wait } from "./common.js";
import type {
  MessageOf,
  Published,
  PublishOptions,
  SubscribeOptions,
  Subscription,
  Topic,
  TopicMessage,
} from "./messages.js";
import type { Outbox, OutboxEntry } from "./outbox.js";
import type { Interceptor } from "./interceptors.js";
import type { QueueOptions } from "./queue-options.js";
import type { Queue } from "./queues.js";
import type { Transaction, TransactionOptions } from "./transactions.js";
import type {
  Call,
  CallOptions,
  Leadership,
  RemoteClient,
  Served,
  ServeOptions,
  Service,
  Term,
} from "./services.js";

export interface CloseOptions {
  /** Let handlers finish and what was asked be answered first. */
  drain?: boolean;
  timeout?: Duration;
}

/** It was on the device before `share` came to cover it, and stays there until it is deleted. */
export interface Contract {
  readonly name: string;
  readonly home: Home;
  readonly reason: "exists-on-device";
}

/** The `detail` of each event. */
export interface BusEvents {
  status: Status;
  host: Host;
  peer: { readonly change: "joined" | "left" | "changed"; readonly peer: Peer };
  /**
   * The storage failed or is full, or lost what it had confirmed. By `reason`: `quota` (`number` is
   * 1 while it is full, and 0 when there is room again), `blocked` (another tab keeps it from being
   * opened), `rolled-back` (`number` of the confirmed sends of this client are gone) or `cleared`
   * (somebody deleted all that was stored; this client had `number` sends confirmed). The rest is
   * what the host last said of its storage.
   */
  storage: Keeping & {
    readonly code: Code;
    readonly reason: string;
    readonly number: number;
    /** Of which home, on a bus with `share`. */
    readonly home?: Home;
  };
  /** On a bus with `share`: a queue that lives at another home than its name says. */
  contract: Contract;
  /** A send that nobody waits for any more was refused, or is in doubt: see `bus.outbox`. */
  returned: OutboxEntry;
  /**
   * A defect stopped the core of this tab, or of the worker that hosts, and a fresh one goes on.
   * What was under way in this tab's own rejects with `INTERNAL`. `cause` is worth a report.
   * Without a listener the console tells of it; the third within a minute ends the bus with an
   * `error` instead.
   */
  restart: TabmqError;
  /** What no promise could tell: a handler threw, messages are lost, a live handle was refused. */
  error: TabmqError | Error;
}

export type BusEvent<K extends keyof BusEvents> = CustomEvent<BusEvents[K]>;

type ServiceMethods<S, N> = N extends keyof Services<S> ? Services<S>[N] : never;

export interface Bus<S extends Schema = Schema> extends AsyncDisposable, EventTarget {
  readonly name: string;
  readonly peer: OwnPeer;
  /** On a bus with `share` those of the device, then those at the hub. */
  readonly peers: Watch<readonly Peer[]>;
  /** On a bus with `share` it is `offline` while the hub is away, and the device works on. */
  readonly status: Watch<Status>;
  /** On a bus with `share` the one of the device. */
  readonly host: Watch<Host>;
  /**
   * Asks the browser not to clear what this origin stores when it needs room; some ask the user.
   * Tells whether it promised that, as `host` does from then on. Only a page may ask: elsewhere,
   * and where the browser has no such promise, it rejects with `UNSUPPORTED`.
   */
  persist(options?: Wait): Promise<boolean>;
  /** Starts the bus, if nothing did, and resolves when a node is reached. */
  ready(options?: Wait): Promise<void>;

  publish<N extends Name<Topics<S>>>(
    topic: N,
    body: Topics<S>[N],
    options?: PublishOptions,
  ): Promise<Published>;
  topic<N extends Name<Topics<S>>>(name: N): Topic<Topics<S>[N]>;
  topic<Body>(name: string): Topic<Body>;
  /** `*` in a filter is one word, `#` zero or more. */
  subscribe<F extends string>(
    filter: F,
    handler: (message: MessageOf<Topics<S>, Matching<Topics<S>, F>>) => unknown,
  ): Subscription<MessageOf<Topics<S>, Matching<Topics<S>, F>>>;
  subscribe<F extends string>(
    filter: F,
    options?: SubscribeOptions,
    handler?: (message: MessageOf<Topics<S>, Matching<Topics<S>, F>>) => unknown,
  ): Subscription<MessageOf<Topics<S>, Matching<Topics<S>, F>>>;
  subscribe<Body>(
    filter: string,
    handler: (message: TopicMessage<Body>) => unknown,
  ): Subscription<TopicMessage<Body>>;
  subscribe<Body>(
    filter: string,
    options?: SubscribeOptions,
    handler?: (message: TopicMessage<Body>) => unknown,
  ): Subscription<TopicMessage<Body>>;

  queue<N extends Name<Queues<S>>>(
    name: N,
    options?: QueueOptions,
  ): Queue<QueueBody<Queues<S>[N]>, QueueResult<Queues<S>[N]>>;
  queue<Body = never, Result = unknown>(
    name: [Body] extends [never] ? never : string,
    options?: QueueOptions,
  ): Queue<Body, Result>;

  /**
   * Stores what `build` stages as one: all of it or nothing. Resolves with what it returned.
   * Rejects with `INVALID` if that is a promise, with `STALE_LEASE` if a delivery is another's by
   * now, with `MIXED_HOMES` if a part of it is of another bus or home, and as a send does if one of
   * the messages is refused; then nothing was changed.
   */
  transaction<R>(
    build: (tx: Transaction<S>) => R extends PromiseLike<unknown> ? never : R,
    options?: TransactionOptions,
  ): Promise<R>;

  serve<N extends Name<Services<S>>>(
    service: N,
    implementation: Served<Services<S>[N]>,
    options?: ServeOptions,
  ): Service;
  serve<A extends object = never>(
    service: [A] extends [never] ? never : string,
    implementation: Served<NoInfer<A>>,
    options?: ServeOptions,
  ): Service;
  client<N extends Name<Services<S>>>(
    service: N,
    options?: CallOptions,
  ): RemoteClient<ServiceMethods<S, N>>;
  client<A = never>(
    service: [A] extends [never] ? never : string,
    options?: CallOptions,
  ): RemoteClient<A>;
  call(
    service: string,
    method: string,
    parameters: readonly unknown[],
    options?: CallOptions,
  ): Call<unknown>;

  /** Exactly one client runs this. A throw ends its term, and another is chosen. */
  lead(role: string, run: (term: Term) => unknown, options?: { signal?: AbortSignal }): Leadership;

  /**
   * Shows what this `Bus` sends and gets to an interceptor from now on, until it is disposed. Other
   * buses of the realm are not concerned, even of the same name.
   */
  use(interceptor: Interceptor): Disposable;

  /** What has no confirmation yet, of this tab and of those that died. */
  readonly outbox: Outbox;
  /** Lists, inspects and runs the queues. */
  readonly admin: Admin;
  /** Resolves when everything asked before is answered. */
  flush(options?: Wait): Promise<void>;
  close(options?: CloseOptions): Promise<void>;

  addEventListener<K extends keyof BusEvents>(
    type: K,
    listener: (event: BusEvent<K>) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof BusEvents>(
    type: K,
    listener: (event: BusEvent<K>) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}
