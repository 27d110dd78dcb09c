import { type Code, CODES } from "./codes.generated.js";
import { decode } from "./codec/decode.js";
import type { Engine } from "./engine.js";
import { closed, codeOf, failed, TabmqError } from "./errors.js";
import { isPartitioned, keepingOf } from "./keeping.js";
import type { LiveHandle } from "./live.js";
import { hex } from "./message.js";
import { ignoreFailure, type Pending } from "./pending.js";
import { EVENT, OUTCOME, type RawEvent, type RawEventOf, SETTLE } from "./raw.js";
import { comparePeers } from "./peers.js";
import type { BusEvents, Host, Peer, PeerInfo, Status } from "./types.js";
import { Source } from "./watch.js";

/** Who waits for one answer, and how it is read. */
export interface Answer {
  /** What errors call it. */
  readonly verb: string;
  take(event: never): void;
  fail(error: unknown): void;
  /** Told before the answer how far it is. */
  readonly progress?: ((value: Uint8Array) => void) | undefined;
  /**
   * Takes note that it is written down on this device. True if its caller waits for no more;
   * `reached` gives what resolves once it is where it was to go.
   */
  keep?(reached: () => Promise<void>): boolean;
}

type AnswerKind =
  | "published"
  | "queueState"
  | "counted"
  | "listed"
  | "tracked"
  | "sent"
  | "settled"
  | "flushed"
  | "failed"
  | "callEnded";
type BusEventKind =
  | "ready"
  | "lost"
  | "peers"
  | "closed"
  | "host"
  | "rolledBack"
  | "queueDeleted"
  | "window"
  | "keep"
  | "letGo"
  | "claimed"
  | "bound"
  | "foreignLog"
  | "granted"
  | "anotherUser"
  | "storage"
  | "error"
  | "workerMustHost"
  | "unreachable"
  // A worker's own, which pages have no use for.
  | "waitsAgain";

/** As the node begins with. */
const WINDOW_FIRST = 256;

/** Refusals of a hub that stay until somebody changes something. */
const LASTING = new Set<Code>(["NOT_AUTHORIZED", "UPGRADE_REQUIRED", "INVALID", "UNSUPPORTED"]);

const UNKNOWN_HOST: Host = {
  epoch: 0,
  here: false,
  kind: "inline",
  storage: "memory",
  durability: "memory",
  fenced: false,
  persisted: false,
  evictable: false,
  partitioned: undefined,
  private: undefined,
};

/** Takes the events of the wasm side apart and brings each to whom it concerns. */
export class Events {
  readonly status = new Source<Status>("idle");
  readonly peers = new Source<readonly Peer[]>([]);
  readonly host = new Source<Host>(UNKNOWN_HOST);
  readonly listeners = new Set<
    <K extends keyof BusEvents>(type: K, detail: BusEvents[K]) => void
  >();
  /** What is told when a lease is lost. */
  readonly leases = new Map<number, (error: TabmqError) => void>();
  /** What is told when a caller waits no more. */
  readonly dispatches = new Map<number, () => void>();
  /** How many items the node would like to be under way. */
  readonly window = new Source(WINDOW_FIRST);
  /** The browser has promised this page to keep what is stored. */
  #kept = false;
  #following = 0;
  onClosed: (() => unknown) | undefined;
  /** What came last of dialing the hub, since it last answered. */
  trouble: string | undefined;
  /** What was told last of why this realm can't host. */
  #failure: TabmqError | undefined;
  id = "";
  ownInfo: PeerInfo;
  readonly #engine: Engine;
  readonly #requests = new Map<number, Answer>();
  readonly #calls = new Map<number, Answer>();
  readonly #lives = new Set<LiveHandle>();
  readonly #handles = [1, 2, 3, 4, 5, 6].map(() => new Map<number, LiveHandle>());
  readonly #waiting = new Set<Pending<void>>();

  constructor(engine: Engine) {
    this.#engine = engine;
    this.ownInfo = { ...engine.options.peer };
  }

  answers(areCalls: boolean): Map<number, Answer> {
    return areCalls ? this.#calls : this.#requests;
  }

  /** Nothing waits for an answer. */
  get idle(): boolean {
    return !this.#requests.size && !this.#calls.size;
  }

  emit<K extends keyof BusEvents>(type: K, detail: BusEvents[K]): void {
    for (const tell of this.listeners) tell(type, detail);
  }

  setStatus(status: Status): void {
    if (this.status.get() === status) return;
    this.status.set(status);
    this.emit("status", status);
  }

  /** Settles when a node is reached. */
  waitReady(pending: Pending<void>): void {
    if (this.#engine.over) return pending.reject(this.#engine.over);
    if (this.status.get() === "ready") return pending.resolve();
    this.#waiting.add(pending);
    const forget = () => void this.#waiting.delete(pending);
    pending.promise.then(forget, forget);
  }

  failWaiting(error: unknown): void {
    for (const pending of this.#waiting) pending.reject(error);
  }

  /** A send is written down: whoever waits for no more than that has its answer. */
  kept(request: number): void {
    const reached = () => this.#engine.outbox.reached(request);
    if (!this.#requests.get(request)?.keep?.(reached)) return;
    this.#requests.delete(request);
    this.#engine.tell((raw) => raw.cancelRequest(request));
  }

  /** Has the node tell its window. The answer ends it. */
  followWindow(run: (items: number) => void): () => void {
    const tell = (on: boolean) =>
      this.#engine.run(
        (raw) => raw.setIngest(on),
        () => {},
      );
    if (!this.#following++) tell(true);
    const leave = this.window.watch(() => {}).subscribe(run);
    let follows = true;
    return () => {
      if (!follows) return;
      follows = false;
      leave();
      if (!--this.#following) this.#engine.tell((raw) => raw.setIngest(false));
    };
  }

  open(handle: LiveHandle): void {
    // What it waited for was longer than it lasted.
    if (handle.closed.aborted) return;
    this.#lives.add(handle);
    this.#engine.run(
      (raw) => {
        if (!this.#lives.has(handle)) return;
        handle.number = handle.begin(raw);
        this.#of(handle.kind).set(handle.number, handle);
      },
      (error) => handle.fail(error as TabmqError),
    );
  }

  shut(handle: LiveHandle): void {
    if (!this.#lives.delete(handle) || handle.number === undefined) return;
    const { kind, number } = handle;
    this.#of(kind).delete(number);
    this.#engine.tell((raw) => handle.end(raw, number));
  }

  /** Everything that is open begins again, on a fresh instance. */
  reopen(): void {
    const lives = Array.from(this.#lives);
    for (const handle of lives) this.open(handle);
    if (this.#following) this.#engine.tell((raw) => raw.setIngest(true));
  }

  /** Nothing more comes from this wasm side. With `forGood` there will be no other. */
  endAll(error: TabmqError, forGood: boolean): void {
    for (const answers of [this.#requests, this.#calls]) {
      for (const answer of answers.values()) {
        const { code, message, cause } = error;
        const told = `${answer.verb}: ${message}`;
        answer.fail(new TabmqError(code, told, { maybeExecuted: true, cause }));
      }
      answers.clear();
    }
    for (const lose of this.leases.values()) lose(error);
    this.leases.clear();
    for (const cancel of this.dispatches.values()) cancel();
    this.dispatches.clear();
    for (const handles of this.#handles) handles.clear();
    const lives = Array.from(this.#lives);
    for (const handle of lives) {
      handle.number = undefined;
      handle.interrupt(error);
      if (forGood) handle.over(error);
    }
    if (!forGood) return;
    this.failWaiting(error);
    this.setStatus("closed");
  }

  /** One batch of events. What a user's code throws is caught where it is called. */
  take(batch: Uint8Array): void {
    for (const event of decode(batch, true) as RawEvent[]) this.#route(event);
    this.#engine.flushBacklog();
  }

  #of(kind: number): Map<number, LiveHandle> {
    return this.#handles[kind - 1] as Map<number, LiveHandle>;
  }

  #answer(answers: Map<number, Answer>, event: RawEventOf<AnswerKind>): void {
    const answer = answers.get(event[1]);
    if (!answer) return;
    answers.delete(event[1]);
    try {
      if (event[0] !== EVENT.failed) return answer.take(event as never);
      const [, , code, reason, maybeExecuted] = event;
      answer.fail(failed(answer.verb, code, reason, maybeExecuted));
    } catch (error) {
      answer.fail(error);
    }
  }

  #route(event: RawEvent): void {
    switch (event[0]) {
      case EVENT.published:
      case EVENT.queueState:
      case EVENT.counted:
      case EVENT.listed:
      case EVENT.tracked:
      case EVENT.sent:
      case EVENT.settled:
      case EVENT.flushed:
      case EVENT.failed:
        return this.#answer(this.#requests, event);
      case EVENT.progress:
        return this.#requests.get(event[1])?.progress?.(event[2]);
      case EVENT.callEnded:
        return this.#answer(this.#calls, event);
      case EVENT.live:
      case EVENT.gap:
      case EVENT.subscribed:
        return this.#of(1).get(event[1])?.take(event);
      case EVENT.consuming:
      case EVENT.consumerActive:
        return this.#of(2).get(event[1])?.take(event);
      case EVENT.delivery:
        return this.#deliver(event);
      case EVENT.serving:
        return this.#of(3).get(event[1])?.take(event);
      case EVENT.dispatch:
        return this.#dispatch(event);
      case EVENT.leading:
      case EVENT.deposed:
        return this.#of(4).get(event[1])?.take(event);
      case EVENT.queueStats:
        return this.#of(5).get(event[1])?.take(event);
      case EVENT.check:
        return this.#of(6).get(event[1])?.take(event);
      case EVENT.handleRefused:
        return this.#of(event[1])
          .get(event[2])
          ?.fail(failed("the node refused", event[3], ""));
      case EVENT.leaseLost:
        return this.leases.get(event[1])?.(new TabmqError("STALE_LEASE", "the lease is lost"));
      case EVENT.dispatchCancelled:
        return this.dispatches.get(event[1])?.();
      default:
        return this.#report(event);
    }
  }

  /** What concerns the bus itself. */
  #report(event: RawEventOf<BusEventKind>): void {
    switch (event[0]) {
      case EVENT.ready:
        return this.#ready();
      case EVENT.lost:
        this.#engine.declared.clear();
        this.#engine.renewal.stop();
        return this.setStatus("connecting");
      case EVENT.peers:
        return this.#setPeers(event[1]);
      case EVENT.closed:
        return this.#over(event[1]);
      case EVENT.host:
        return this.#setHost(event);
      case EVENT.window:
        return this.window.set(event[1]);
      case EVENT.queueDeleted:
        return this.#engine.forgetQueue(event[1]);
      case EVENT.keep:
        return ignoreFailure(this.#engine.outbox.keep(event));
      case EVENT.letGo:
        return ignoreFailure(this.#engine.outbox.letGo(event));
      case EVENT.claimed:
        return this.#engine.claimed();
      case EVENT.bound:
        return ignoreFailure(this.#engine.outbox.home.boundTo(event));
      case EVENT.foreignLog:
        return ignoreFailure(this.#engine.outbox.home.foreign(event));
      case EVENT.granted:
        return this.#engine.renewal.granted(event[1]);
      case EVENT.anotherUser:
        return this.#engine.changeUser(this.#engine.raw);
      case EVENT.rolledBack: {
        const [, confirmed, position] = event;
        return this.#tellStorage("STORAGE", "rolled-back", confirmed - position);
      }
      case EVENT.storage: {
        const [, code, reason, number] = event;
        return this.#tellStorage(codeOf(code), reason, number);
      }
      case EVENT.error:
        return this.#cannotHost(event[1], event[2]);
      case EVENT.workerMustHost:
        return this.#engine.worker?.steal();
      case EVENT.unreachable:
        return this.setStatus("offline");
    }
  }

  #ready(): void {
    const { raw, outbox } = this.#engine;
    this.id = hex(raw?.clientId() ?? new Uint8Array());
    if (raw) outbox.ready(raw);
    this.trouble = undefined;
    this.#engine.hubAnswered();
    this.setStatus("ready");
    for (const pending of this.#waiting) pending.resolve();
  }

  /** A delivery to a consumer that has closed meanwhile goes back. */
  #deliver(event: RawEventOf<"delivery">): void {
    const [, number, lease] = event,
      consumer = this.#of(2).get(number);
    if (consumer) return consumer.take(event);
    this.#engine.tell((raw) => void raw.settle(lease, SETTLE.release));
  }

  #dispatch(event: RawEventOf<"dispatch">): void {
    const [, dispatch, number] = event,
      service = this.#of(3).get(number);
    if (service) return service.take(event);
    this.#engine.tell((raw) => raw.reply(dispatch, OUTCOME.failed, undefined, CODES.UNAVAILABLE));
  }

  #over(code: number): void {
    if (this.onClosed) return void this.onClosed();
    const text = codeOf(code);
    // It was told when it came about.
    if (this.#failure?.code === text) return this.#engine.end(this.#failure);
    const error =
      text === "CLOSED" ? closed(`bus "${this.#engine.name}"`) : failed("the bus ended", code, "");
    if (text !== "CLOSED") this.emit("error", error);
    this.#engine.end(error);
  }

  /** Over files no other realm can host either: the bus ends, and says the same. */
  #cannotHost(number: number, reason: string): void {
    const { name, storage } = this.#engine;
    if (reason === "hub") return this.#refused(codeOf(number));
    const error = failed(`bus "${name}"`, number, reason);
    if (!storage) return this.emit("error", error);
    const { folder, cause } = storage;
    const { code, message, data } = error;
    const text = `${message}: ${cause instanceof Error ? cause.message : folder}`;
    this.#failure = new TabmqError(code, text, { data: { ...data, folder }, cause });
    // Whoever waits for the bus to be ready hears of it by that.
    if (!this.#waiting.size) this.emit("error", this.#failure);
  }

  /** Another token may help; and who waits hears now of what does not change by waiting. */
  #refused(code: Code): void {
    if (code === "NOT_AUTHORIZED" && this.#engine.renewToken(() => this.#refusal(code))) return;
    this.#refusal(code);
  }

  #refusal(code: Code): void {
    this.trouble ??= code;
    const text = `bus "${this.#engine.name}": the hub refuses: ${this.trouble}`;
    const error = new TabmqError(code, text, { data: { reason: "hub" } });
    if (!LASTING.has(code) || !this.#waiting.size) this.emit("error", error);
    if (LASTING.has(code)) this.failWaiting(error);
  }

  #setHost([
    ,
    epoch,
    here,
    kind,
    storage,
    durability,
    fenced,
    persisted,
    evictable,
  ]: RawEventOf<"host">): void {
    const kept = persisted || (this.#kept && storage === "indexeddb");
    const host: Host = {
      epoch,
      here,
      kind,
      storage,
      durability,
      fenced,
      persisted: kept,
      evictable: evictable && !kept,
      partitioned: isPartitioned(),
      private: undefined,
    };
    this.host.set(host);
    this.emit("host", host);
  }

  /** Whether it has. */
  get persisted(): boolean {
    return this.#kept;
  }

  /** The browser has promised to keep what this origin stores. */
  keep(): void {
    this.#kept = true;
    const host = this.host.get();
    if (host.storage !== "indexeddb" || host.persisted) return;
    const kept = { ...host, persisted: true, evictable: false };
    this.host.set(kept);
    this.emit("host", kept);
  }

  #tellStorage(code: Code, reason: string, number: number): void {
    this.emit("storage", { code, reason, number, ...keepingOf(this.host.get()) });
  }

  #setPeers(entries: readonly (readonly [Uint8Array, Uint8Array])[]): void {
    // Some tab is gone, or has sent what another left.
    this.#engine.outbox.look();
    const { peers, changes } = comparePeers(this.peers.get(), entries);
    if (!changes.length) return;
    this.peers.set(peers);
    for (const change of changes) this.emit("peer", change);
  }
}
