import { AdminClient } from "./admin.js";
import { asyncDispose } from "./dispose.js";
import { encode, encodeNow } from "./codec/encode.js";
import { decode } from "./codec/decode.js";
import type { Context } from "./context.js";
import type { Definition } from "./define.js";
import { later } from "./later.js";
import { type Engine, NOTHING } from "./engine.js";
import { closed, invalid } from "./errors.js";
import { askToKeep } from "./keeping.js";
import { LiveLeadership } from "./leadership.js";
import { Interceptors } from "./interceptors.js";
import type { LiveHandle } from "./live.js";
import {
  checkLead,
  checkPeer,
  checkServe,
  checkStop,
  checkTransaction,
  checkWait,
  patience,
} from "./options.js";
import { attempt, ignoreFailure, Pending } from "./pending.js";
import { Posts } from "./posts.js";
import { QueueClient } from "./queue.js";
import { call, remoteClient } from "./remote.js";
import { LiveService } from "./service.js";
import { courierOf } from "./outbox/hook.js";
import { SOCKETS } from "./hub/symbol.js";
import { COURIER } from "./outbox/symbol.js";
import { outboxOf } from "./outbox/verbs.js";
import { publish, subscribe, TopicClient } from "./topic.js";
import { buildInto, StagedTransaction, type Staging } from "./transaction.js";
import type {
  Bus,
  BusEvents,
  CallOptions,
  CloseOptions,
  Codec,
  Interceptor,
  OwnPeer,
  PeerInfo,
  PublishOptions,
  QueueOptions,
  ServeOptions,
  Status,
  SubscribeOptions,
  Term,
  Transaction,
  TransactionOptions,
  Wait,
} from "./types.js";
import { Source } from "./watch.js";

/** One user of a client of the realm. */
export class BusClient extends EventTarget implements Context {
  readonly name: string;
  readonly engine: Engine;
  readonly lives = new Set<LiveHandle>();
  readonly watches = new Map<string, object>();
  readonly codec: Codec;
  readonly peers: Bus["peers"];
  readonly status: Bus["status"];
  readonly host: Bus["host"];
  readonly outbox: Bus["outbox"];
  readonly interceptors = new Interceptors();
  readonly posts = new Posts(this);
  owns: Context["owns"];
  readonly #status: Source<Status>;
  readonly #definition: Definition;
  readonly #release: () => boolean;
  #errorListeners = 0;
  #restartListeners = 0;
  #closing: Promise<void> | undefined;

  /** `release` tells whether this was the last user. */
  constructor(engine: Engine, definition: Definition, release: () => boolean) {
    super();
    this.name = engine.name;
    this.engine = engine;
    this.codec = engine.options.codec ?? { encode: encode as Codec["encode"], decode };
    const { events } = engine,
      start = () => (this.#closing ? undefined : engine.start());
    this.#status = new Source(events.status.get());
    this.status = this.#status.watch(start);
    this.peers = events.peers.watch(start);
    this.host = events.host.watch(start);
    this.outbox = outboxOf(this);
    events.listeners.add(this.#tell);
    this.#definition = definition;
    this.#release = release;
  }

  get admin(): Bus["admin"] {
    return new AdminClient(this);
  }

  get peer(): OwnPeer {
    const { events } = this.engine,
      { name, tags = {} } = events.ownInfo;
    return { id: events.id, name, tags, update: (info) => this.#updatePeer(info) };
  }

  ready(options?: Wait): Promise<void> {
    return attempt(() => {
      this.check();
      const pending = new Pending<void>(
        this.#patience("ready", checkWait("ready", options)),
        () => false,
        this.engine.why,
      );
      this.engine.start();
      this.engine.events.waitReady(pending);
      return pending.promise;
    });
  }

  persist(options?: Wait): Promise<boolean> {
    return attempt(() => {
      const wait = checkWait("persist", options);
      this.check();
      const pending = new Pending<boolean>(this.#patience("persist", wait), () => false);
      void this.#persist(pending);
      return pending.promise;
    });
  }

  publish(topic: string, body: unknown, options?: PublishOptions) {
    return publish(this, topic, body, options);
  }

  topic(name: string) {
    return new TopicClient(this, name);
  }

  subscribe(filter: string, options?: SubscribeOptions, handler?: (message: never) => unknown) {
    return subscribe(this, filter, options, handler);
  }

  queue(name: string, options?: QueueOptions) {
    return new QueueClient(this, name, options ?? this.#definition.queues?.[name]?.options);
  }

  transaction<R>(build: (tx: Transaction) => R, options?: TransactionOptions): Promise<R> {
    return this.transact(new StagedTransaction(this), build, options);
  }

  /** Builds into `staged`, and stores it. */
  transact<R>(
    staged: Staging,
    build: (tx: Transaction) => R,
    options?: TransactionOptions,
  ): Promise<R> {
    return attempt(async () => {
      const { durability, ...wait } = checkTransaction(options);
      if (typeof build !== "function") throw invalid("transaction: nothing is built", "build");
      this.check();
      const result = buildInto(staged, build);
      if (!staged.isEmpty) await staged.commit(this.#patience("transaction", wait), durability);
      staged.sealed = true;
      return result;
    });
  }

  serve(service: string, implementation: object, options?: ServeOptions) {
    if (Object(implementation) !== implementation)
      throw invalid("serve: the implementation must be an object");
    return new LiveService(this, service, implementation, checkServe(options));
  }

  client(service: string, options?: CallOptions) {
    return remoteClient(this, service, options);
  }

  call(service: string, method: string, parameters: readonly unknown[], options?: CallOptions) {
    return call(this, service, method, parameters, options);
  }

  lead(role: string, run: (term: Term) => unknown, options?: { signal?: AbortSignal }) {
    if (typeof run !== "function") throw invalid("lead: there is nothing to run", "run");
    return new LiveLeadership(this, role, run, checkLead(options).signal);
  }

  use(interceptor: Interceptor): Disposable {
    this.check();
    return this.interceptors.use(interceptor);
  }

  flush(options?: Wait): Promise<void> {
    return attempt(
      () =>
        this.ask(
          this.#patience("flush", checkWait("flush", options)),
          "request",
          NOTHING,
          (raw) => raw.flush(),
          () => undefined,
        ).promise,
    );
  }

  close(options?: CloseOptions): Promise<void> {
    return attempt(() => {
      const checked = checkStop("close", options);
      this.#closing ??= this.#close(checked);
      return this.#closing;
    });
  }

  [asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly ask: Context["ask"] = (wait, kind, encoded, begin, read, sooner) => {
    if (encoded instanceof Promise) ignoreFailure(encoded);
    this.check();
    return this.engine.ask(wait, kind, encoded, begin, read, sooner);
  };

  /** For `tabmq/idb`. */
  get [COURIER]() {
    return courierOf(this);
  }

  /** For the entries of servers. */
  get [SOCKETS]() {
    const { engine } = this;
    return {
      at: (socket: number, bytes: Uint8Array) => engine.tell((raw) => raw.atSocket(socket, bytes)),
      granted: (socket: number, grant: object) =>
        engine.direct((raw) => raw.socketGranted(socket, grant), "authorize"),
      gone: (socket: number) => engine.tell((raw) => raw.socketGone(socket)),
    };
  }

  encode(value: unknown, root: string) {
    return this.engine.options.codec ? this.codec.encode(value) : encode(value, root);
  }

  report(error: unknown): void {
    const detail = error instanceof Error ? error : new Error(String(error), { cause: error });
    // An error that nobody hears of would cost hours.
    if (!this.#errorListeners) console.error(detail);
    this.dispatchEvent(new CustomEvent("error", { detail }));
  }

  override addEventListener(type: string, ...rest: [never]): void {
    if (type === "error") this.#errorListeners += 1;
    if (type === "restart") this.#restartListeners += 1;
    super.addEventListener(type, ...rest);
  }

  readonly #tell = <K extends keyof BusEvents>(type: K, detail: BusEvents[K]): void => {
    if (type === "status") this.#status.set(detail as Status);
    if (type === "restart" && !this.#restartListeners) console.warn(detail);
    if (type === "error") this.report(detail);
    else this.dispatchEvent(new CustomEvent(type, { detail }));
  };

  async #close({ drain = false, timeout }: ReturnType<typeof checkStop>): Promise<void> {
    const wait = this.#patience("close", timeout === undefined ? {} : { timeout });
    const lives = [...this.lives];
    const stopped = lives.map((live) => live.stop({ drain, timeout: wait.timeout_ms as never }));
    try {
      if (drain) await Promise.all(stopped);
    } finally {
      try {
        if (this.#release()) await this.engine.close(wait, drain);
      } finally {
        this.engine.events.listeners.delete(this.#tell);
        this.#status.set("closed");
      }
    }
  }

  async #persist(pending: Pending<boolean>): Promise<void> {
    try {
      const kept = await askToKeep();
      if (kept) this.engine.events.keep();
      pending.resolve(kept);
    } catch (error) {
      pending.reject(error);
    }
  }

  #updatePeer(info: PeerInfo): void {
    this.check();
    const { events } = this.engine;
    events.ownInfo = { ...events.ownInfo, ...checkPeer(info) };
    const bytes = encodeNow(events.ownInfo);
    this.engine.run(
      (raw) => raw.setPeer(bytes),
      (error) => this.report(error),
    );
  }

  check(): void {
    if (this.#closing) throw closed(`bus "${this.name}"`);
  }

  #patience(verb: string, wait: { signal?: AbortSignal; timeout?: number }) {
    return patience(`bus "${this.name}": ${verb}`, wait, this.engine.limits.verb_timeout_ms);
  }
}

later(BusClient.prototype, "bus", {
  rejects: "",
  throws: "stream kv exchange gather attach",
  absent: "",
});
