import { Backlog, type Waiting } from "./backlog.js";
import { askToken, doorsOf, protocolsWith, tellingDoors } from "./hub/doors.js";
import { Renewal } from "./hub/renewal.js";
import { DIAL, SOCKETS } from "./hub/symbol.js";
import { borderError, closed, TabmqError } from "./errors.js";
import { Events } from "./events.js";
import { OWN_LIMITS, type OwnLimits } from "./limits.js";
import type { CheckedConnect } from "./options.js";
import { SendOutbox } from "./outbox/outbox.js";
import { type Patience, Pending } from "./pending.js";
import { type Begin, Question, type Sooner } from "./question.js";
import type { RawBus, RawDoors } from "./raw.js";
import { coreFailed, Restarts } from "./restarts.js";
import { type FolderStorage, storageOf } from "./storage.js";
import type { QueueInfo } from "./types.js";
import { type Encoded, Turns } from "./turns.js";
import { instance } from "./wasm.js";
import { PageWorker } from "./worker/page.js";
import { type HostPlan, openingOf, planHost } from "./worker/plan.js";
import { encodeNow } from "./codec/encode.js";

type Job = (raw: RawBus) => void;
type Fail = (error: unknown) => void;
type WithBytes = Waiting & { bytes: Uint8Array | undefined };

/** Bounds of what has no answer yet. */
const CREDIT = new Set<string | undefined>(["requests_max", "request_bytes_max"]);

/** A declaration of a queue, under way or done. */
export interface Declared {
  readonly promise: Promise<QueueInfo>;
  done: boolean;
}

export type { Encoded };
export const NOTHING = new Uint8Array();

/**
 * The one client of a realm on a bus: it owns the wasm side, and every `Bus` of that name shares
 * it. Inert until the first verb.
 */
export class Engine {
  readonly name: string;
  readonly options: CheckedConnect;
  readonly limits: OwnLimits;
  /** Where it keeps its files, if it has any. */
  readonly storage: FolderStorage | undefined;
  readonly events: Events;
  readonly outbox: SendOutbox;
  readonly renewal: Renewal;
  /** By queue and options. Another node may not know them. */
  readonly declared = new Map<string, Declared>();
  /** What is told that a queue was deleted. */
  readonly onDeleted = new Set<(queue: string) => void>();
  /** The worker that hosts for this page, if it has one. */
  worker: PageWorker | undefined;
  #raw: RawBus | undefined;
  #starting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #over: TabmqError | undefined;
  /** Verbs that came before the wasm module, or that it takes only once others are answered. */
  readonly #backlog = new Backlog();
  /** Settlements and replies pass the verbs that wait: whoever can't send can still settle. */
  readonly #settlements = new Backlog();
  readonly #turns = new Turns();
  /** Listens for traps no more. */
  #forget: () => unknown = () => {};
  readonly #restarts = new Restarts();
  readonly #changes = new Restarts();
  #renewed = false;
  /** How the hub is dialed, with the token that was given last. */
  #doors: RawDoors | undefined;
  /** Why the hub does not answer, as far as is known. */
  readonly why = (): string | undefined => this.events.trouble;
  readonly #after: Promise<void> | undefined;
  #resolveClaimed: () => void = () => {};
  #resolveEnded!: () => void;
  /** Resolves when nothing of it is left. */
  readonly ended = new Promise<void>((resolve) => {
    this.#resolveEnded = resolve;
  });

  /** It starts no sooner than `after`, when an earlier client of the name has ended. */
  constructor(name: string, options: CheckedConnect, after: Promise<void> | undefined) {
    this.name = name;
    this.options = options;
    this.limits = { ...OWN_LIMITS, ...options.limits };
    this.storage =
      options[SOCKETS]?.parts?.storage ?? storageOf(options.storage ?? "auto", name, options.user);
    this.events = new Events(this);
    this.outbox = new SendOutbox(this);
    this.renewal = new Renewal(this);
    this.#after = after;
  }

  /** Why nothing works any more. */
  get over(): TabmqError | undefined {
    return this.#over;
  }

  get raw(): RawBus | undefined {
    return this.#raw;
  }

  /** Runs `job` in order: now, or once the wasm module is there and takes more. */
  run(job: Job, fail: Fail): void {
    this.#runIn(this.#backlog, { job, fail });
  }

  /** As `run`, ahead of all verbs that wait. For settlements and replies. */
  settle(job: Job, fail: Fail): void {
    this.#runIn(this.#settlements, { job, fail });
  }

  #runIn(backlog: Backlog, entry: Waiting): void {
    if (this.#over) return entry.fail(this.#over);
    const raw = this.#raw;
    // No verb passes a settlement: a flush covers what came before it.
    const first = !backlog.length && !this.#settlements.length;
    if (raw && !this.#starting && first) {
      return this.#attempt(raw, entry, backlog);
    }
    const refused = backlog.push(entry, this.limits);
    if (refused) return entry.fail(refused);
    this.start();
  }

  /** Tells the wasm side, if it is there, out of order. Nobody waits for what comes of it. */
  tell(job: Job): void {
    if (this.#raw && !this.#starting) this.#attempt(this.#raw, { job, fail: () => {} });
  }

  /** Gives something to the wasm side at once and out of order. Throws what it throws. */
  direct(step: (raw: RawBus) => void, what: string): void {
    const raw = this.#raw;
    if (!raw) throw this.#over ?? closed(`bus "${this.name}"`);
    this.#try(() => step(raw), what);
  }

  /** The identity is this client's: what is written down for it is taken up. */
  claimed(): void {
    const raw = this.#raw;
    if (!raw) return;
    // It fails with a poisoned instance alone, which another one replaces.
    void this.outbox.claimed(raw).catch(() => {}).finally(this.#resolveClaimed);
  }

  /** Runs what waits, as far as the wasm side takes it. Called after each batch of events. */
  flushBacklog(): void {
    this.#flush(this.#settlements);
    if (!this.#settlements.length) this.#flush(this.#backlog);
  }

  #flush(backlog: Backlog): void {
    const raw = this.#raw;
    if (!raw) return;
    for (let entry = backlog.shift(); entry; entry = backlog.shift()) {
      this.#attempt(raw, entry, backlog);
      // The one that was not taken is back, and the rest stays behind it.
      if (backlog.first === entry) break;
    }
  }

  /**
   * Asks something that has one answer. `begin` gives it to the wasm side and returns its number;
   * `read` makes the result of the answering event. A settlement is a request that waits for no
   * verb before it.
   */
  ask<T>(
    patience: Patience,
    kind: "request" | "call" | "settlement",
    encoded: Encoded,
    begin: Begin,
    read: (event: never) => T,
    sooner: Sooner<T> = {},
  ): Pending<T> {
    const settles = kind === "settlement";
    const question = new Question<T>(this, patience, kind === "call", begin, read, sooner);
    const { pending } = question;
    if (settles) this.#giveSettlement(encoded, question);
    else this.give(encoded, question);
    return pending;
  }

  #giveSettlement(encoded: Encoded, question: WithBytes): void {
    const give = (bytes: Uint8Array) => {
      question.bytes = bytes;
      this.#runIn(this.#settlements, question);
    };
    if (encoded instanceof Uint8Array) give(encoded);
    else Promise.resolve(encoded).then(give).catch((error) => question.fail(error));
  }

  /** Runs `entry`, in order, once it has its bytes. */
  give(encoded: Encoded, entry: WithBytes): void {
    const give = (bytes: Uint8Array) => {
      entry.bytes = bytes;
      this.#runIn(this.#backlog, entry);
    };
    if (encoded instanceof Uint8Array && this.#turns.none) give(encoded);
    else this.#turns.take(encoded, give, (error) => entry.fail(error));
  }

  /** The queue is gone: whoever uses it again declares it again. */
  forgetQueue(queue: string): void {
    for (const key of this.declared.keys()) {
      const [name] = JSON.parse(key) as [string];
      if (name === queue) this.declared.delete(key);
    }
    for (const tell of this.onDeleted) tell(queue);
  }

  /**
   * The hub does not take the token, or no more. Asks for another one, once between two answers of
   * the hub. False if there is none to ask for; else `fail` is told if that fails.
   */
  renewToken(fail: () => void): boolean {
    const { hub } = this.options;
    if (typeof hub?.token !== "function" || this.#renewed) return false;
    this.#renewed = true;
    askToken(hub).then((token) => this.#offer(token), fail);
    return true;
  }

  /** Another token for the socket that is open, and for those that come after it. */
  renewGrant(): void {
    const { hub } = this.options;
    // What a source throws is told once the grant is over.
    if (hub) askToken(hub).then((token) => this.#renew(token), () => {});
  }

  #renew(token: string | undefined): void {
    this.#offer(token);
    if (token !== undefined) this.tell((raw) => raw.renew(token));
  }

  #offer(token: string | undefined): void {
    const protocols = protocolsWith(token);
    if (this.#doors) this.#doors = { ...this.#doors, protocols };
    this.#raw?.offer(protocols);
    this.worker?.offer(protocols);
  }

  /** The hub has answered: its next refusal is about another token. */
  hubAnswered(): void {
    this.#renewed = false;
  }

  start(): void {
    if (this.#starting || this.#raw || this.#over) return;
    this.events.setStatus("connecting");
    this.#starting = this.#begin();
  }

  /** Ends this client. What has no answer rejects with `CLOSED`. */
  close(patience: Patience, drain: boolean): Promise<void> {
    this.#closing ??= this.#close(patience, drain);
    return this.#closing;
  }

  /** Ends at once, as if the realm had died. */
  kill(): void {
    try {
      this.#raw?.kill();
    } catch {
      // A poisoned instance may not be able to.
    }
    this.end(closed(`bus "${this.name}"`));
  }

  /** The wasm side is over. */
  end(error: TabmqError): void {
    if (this.#over) return;
    this.#over = error;
    this.outbox.end();
    this.events.endAll(error, true);
    this.#failBacklog(error);
    this.#drop();
  }

  async #begin(): Promise<void> {
    try {
      await this.#start();
      this.#starting = undefined;
      this.flushBacklog();
    } catch (error) {
      this.#starting = undefined;
      const raw = this.#raw;
      this.#raw = undefined;
      raw?.free();
      // Whoever closed the bus meanwhile has told everyone.
      if (this.#over) return;
      this.events.setStatus("idle");
      this.events.failWaiting(error);
      this.#failBacklog(error);
    }
  }

  #failBacklog(error: unknown): void {
    for (const backlog of [this.#settlements, this.#backlog])
      for (let left = backlog.length; left; left -= 1) backlog.shift()?.fail(error);
  }

  async #start(): Promise<void> {
    await this.#after;
    const { options } = this;
    const plan = planHost(options, this.storage !== undefined);
    const loading = options.hub && this.outbox.home.load();
    const { [DIAL]: socket, [SOCKETS]: sockets } = options;
    if (options.hub)
      this.#doors ??= { ...(await doorsOf(options.hub, this.name)), ...(socket && { socket }) };
    const alone = socket !== undefined || sockets?.parts !== undefined;
    const { RawBus, trapped } = await instance(options.assets?.wasm, alone);
    await loading;
    if (this.#over) throw this.#over;
    const hub = this.#doors;
    const raw = this.#try(
      () =>
        new RawBus(
          this.name,
          {
            storage: this.storage ?? options.storage ?? "auto",
            durability: options.durability ?? "relaxed",
            host: plan.host,
            user: options.user,
            peer: encodeNow(this.events.ownInfo),
            limits: options.limits,
            hub: hub && tellingDoors(hub, (why) => (this.events.trouble = why)),
            sockets,
            timer: sockets?.parts?.timer,
            sleeper: sockets?.parts?.sleeper,
          } as ConstructorParameters<typeof RawBus>[1],
          (batch) => this.events.take(batch),
        ),
    );
    const hear = (cause: unknown) => queueMicrotask(() => this.#trapped(cause));
    trapped.add(hear);
    this.#forget = () => trapped.delete(hear);
    this.#raw = raw;
    this.outbox.begin(raw);
    this.#try(() => sockets?.begin(raw));
    const claimed = new Promise<void>((resolve) => {
      this.#resolveClaimed = resolve;
    });
    const waits = this.#try(() => raw.start());
    this.#startWorker(raw, plan, hub);
    // What the page before left goes before all that this one asks for.
    if (waits) await claimed;
  }

  /** It outlives instances of the module in this page. */
  #startWorker(raw: RawBus, { make, strict }: HostPlan, hub: RawDoors | undefined): void {
    if (!make) return;
    const { worker } = this;
    if (worker?.up !== undefined) raw.workerNews(worker.up);
    this.worker ??= new PageWorker(make, openingOf(this.name, this.options, hub), {
      news: (up) => this.#raw?.workerNews(up),
      failed: (why, ran) => this.#lackWorker(why, ran, strict),
      restarted: (cause) => this.events.emit("restart", coreFailed(cause)),
      events: (batch) => this.events.take(batch),
    });
  }

  /**
   * Where nothing else may host, a bus that was never ready ends; others may have a host yet. Where
   * pages may, a worker that can't be had is none of their users' business, one that broke is.
   */
  #lackWorker(why: string, ran: boolean, strict = false): void {
    if (!strict && !ran) return;
    const error = new TabmqError("UNAVAILABLE", `the worker can't host: ${why}`);
    if (this.events.id || !strict) return this.events.emit("error", error);
    this.end(error);
  }

  async #close(patience: Patience, drain: boolean): Promise<void> {
    const pending = new Pending<void>(patience, () => {
      this.kill();
      return false;
    });
    // What waits for the module is given to it first.
    if (drain && this.#starting) await Promise.race([this.#starting, pending.promise]);
    const raw = this.#raw;
    if (!raw || this.#over) {
      pending.resolve();
      return this.end(closed(`bus "${this.name}"`));
    }
    this.events.onClosed = async () => {
      await this.storage?.idle();
      pending.resolve();
    };
    this.#attempt(raw, {
      job: () => raw.close(drain),
      fail: (error) => pending.reject(error),
    });
    await pending.promise;
    this.end(closed(`bus "${this.name}"`));
  }

  /**
   * The hub has this device for another user now: it goes on as another client. What the one before
   * has written down stays, for when its user is back.
   */
  changeUser(raw: RawBus | undefined): void {
    const text = "the hub has another user for this device";
    const data = { reason: "user" };
    // Not now: the module is in the middle of telling us.
    queueMicrotask(() => {
      if (!raw || raw !== this.#raw || this.#over) return;
      // Else it dials on, and comes here again after a growing pause.
      if (!this.#changes.count()) return;
      this.#forget();
      this.#raw = undefined;
      raw.kill();
      raw.free();
      this.declared.clear();
      this.outbox.home.leaveUser();
      this.#beginAnew(new TabmqError("NOT_AUTHORIZED", text, { data, maybeExecuted: true }));
    });
  }

  #beginAnew(error: TabmqError): void {
    this.renewal.stop();
    this.events.endAll(error, false);
    this.start();
    this.events.reopen();
  }

  /** The instance is in no known state: begin anew with a fresh one. */
  #trapped(cause: unknown): void {
    if (!this.#raw || this.#over) return;
    const error = coreFailed(cause);
    const may = this.#restarts.count();
    try {
      this.#raw.kill();
    } catch {
      // It may be too broken for that. Its lock then falls to whoever finds it silent.
    }
    this.#raw = undefined;
    this.events.emit(may ? "restart" : "error", error);
    if (!may) return this.end(error);
    // The next instance knows neither their clients nor what they may do.
    this.options[SOCKETS]?.closeAll();
    this.#beginAnew(error);
  }

  #attempt(raw: RawBus, entry: Waiting, backlog = this.#backlog): void {
    try {
      entry.job(raw);
    } catch (thrown) {
      const error = this.#errorOf(thrown);
      // The client holds as much as it may: this waits until one of the others is answered.
      const frees = !this.events.idle || this.outbox.holds;
      if (error.code === "FULL" && CREDIT.has(error.data.reason) && frees) {
        backlog.putBack(entry);
      } else {
        entry.fail(error);
      }
    }
  }

  /** What the border throws becomes one of our errors. */
  #try<T>(step: () => T, what?: string): T {
    try {
      return step();
    } catch (error) {
      throw this.#errorOf(error, what);
    }
  }

  #errorOf(error: unknown, what = `bus "${this.name}"`): TabmqError {
    return borderError(error, what);
  }

  #drop(): void {
    const raw = this.#raw;
    this.#raw = undefined;
    this.#forget();
    this.renewal.stop();
    this.worker?.stop();
    // Not now: the module may be in the middle of telling us that it is over. But no later: buses
    // that open and close within one task would all keep their memory until its end.
    queueMicrotask(() => raw?.free());
    // The browser takes a turn to let go of locks.
    setTimeout(this.#resolveEnded);
  }
}
