import { asyncDispose, dispose } from "../dispose.js";
import type { BusClient } from "../bus.js";
import type { TabmqError } from "../errors.js";
import { COURIER } from "../outbox/symbol.js";
import type {
  Bus,
  BusEvents,
  CallOptions,
  CloseOptions,
  Contract,
  Home,
  Interceptor,
  OwnPeer,
  Peer,
  PublishOptions,
  QueueOptions,
  ServeOptions,
  Status,
  SubscribeOptions,
  Term,
  Transaction,
  TransactionOptions,
  Wait,
} from "../types.js";
import { SharedAdmin } from "./admin.js";
import { queuesOf } from "./connect.js";
import type { Homes } from "./homes.js";
import { joined, joinedOutbox } from "./joined.js";
import type { Kit } from "./kit.js";
import { keptQueue } from "./queue.js";
import { subscribeBoth } from "./subscription.js";
import { HomedTransaction } from "./transaction.js";

type Handler = (message: never) => unknown;

const LATER = ["stream", "kv", "exchange", "gather", "attach"];

/** A bus of two homes. Whatever has a name goes to the client of its home. */
export class SharedBus extends EventTarget {
  readonly name: string;
  readonly admin: Bus["admin"];
  readonly peers: Bus["peers"];
  readonly status: Bus["status"];
  readonly host: Bus["host"];
  readonly outbox: Bus["outbox"];
  readonly #kit: Kit;
  readonly #homes: Homes;
  readonly #clients: Readonly<Record<Home, BusClient>>;
  /** Told to the first who listens: nobody can before there is a bus. */
  #contracts: Contract[];
  #errorListeners = 0;
  #told: Status;
  #leave: () => void = () => {};
  /** It is looked which of the kept queues are still there. */
  #looking: Promise<void> | undefined;
  readonly #settled = async () => this.#looking;

  /** `kept` are the queues on the device that a filter covers. */
  constructor(
    kit: Kit,
    homes: Homes,
    clients: Readonly<Record<Home, BusClient>>,
    kept: readonly string[],
  ) {
    super();
    const { device, hub } = clients;
    this.#kit = kit;
    this.#homes = homes;
    this.#clients = clients;
    this.name = device.name;
    this.admin = new SharedAdmin(homes, this.#clients, this.#settled);
    this.status = joined(device.status, hub.status, statusOf);
    this.host = device.host;
    this.outbox = joinedOutbox(device.outbox, hub.outbox);
    const here = tagged("device");
    const there = tagged("hub");
    this.peers = joined(device.peers, hub.peers, (a, b) => [...a.map(here), ...b.map(there)]);
    this.#told = this.status.get();
    this.#contracts = kept.map((name) => {
      return { name, home: "device", reason: "exists-on-device" };
    });
    for (const home of ["device", "hub"] as const) {
      this.#clients[home].owns = (name, kind) => homes.require(home, name, kind);
      this.#forward(home, home === "device" ? here : there);
    }
    this.#watchQueues(device);
    for (const verb of LATER)
      Object.defineProperty(this, verb, {
        value: (device as unknown as Record<string, unknown>)[verb],
      });
  }

  get peer(): OwnPeer {
    const { device, hub } = this.#clients;
    return {
      ...device.peer,
      hubId: hub.peer.id,
      update: (info) => {
        device.peer.update(info);
        hub.peer.update(info);
      },
    };
  }

  async ready(options?: Wait): Promise<void> {
    await this.#both((client) => client.ready(options));
  }

  persist(options?: Wait): Promise<boolean> {
    return this.#clients.device.persist(options);
  }

  publish(topic: string, body: unknown, options?: PublishOptions) {
    return this.#at(topic).publish(topic, body, options);
  }

  topic(name: string) {
    const topic = this.#at(name).topic(name);
    topic.subscribe = (options, handler) => this.subscribe(name, options as never, handler);
    return topic;
  }

  subscribe(filter: string, options?: SubscribeOptions, handler?: Handler) {
    const home = typeof filter === "string" ? this.#homes.ofFilter(filter) : "device";
    if (home !== "both") return this.#clients[home].subscribe(filter, options, handler);
    return subscribeBoth(this.#clients, this.#homes, filter, options, handler);
  }

  queue(name: string, options?: QueueOptions) {
    const home = () => (typeof name === "string" ? this.#homes.ofQueue(name) : "device");
    const at = (where: Home) => this.#clients[where].queue(name, options);
    return this.#homes.kept.has(name) ? keptQueue(home, at, this.#settled) : at(home());
  }

  transaction<R>(build: (tx: Transaction) => R, options?: TransactionOptions): Promise<R> {
    const staged = new HomedTransaction(this.#kit, this.#homes, this.#clients);
    return this.#clients.device.transact(staged, build, options);
  }

  serve(service: string, implementation: object, options?: ServeOptions) {
    return this.#at(service).serve(service, implementation, options);
  }

  client(service: string, options?: CallOptions) {
    return this.#at(service).client(service, options);
  }

  call(service: string, method: string, parameters: readonly unknown[], options?: CallOptions) {
    return this.#at(service).call(service, method, parameters, options);
  }

  lead(role: string, run: (term: Term) => unknown, options?: { signal?: AbortSignal }) {
    return this.#at(role).lead(role, run, options);
  }

  use(interceptor: Interceptor): Disposable {
    const { device, hub } = this.#clients;
    const used = [device.use(interceptor), hub.use(interceptor)];
    return { [dispose]: () => used.forEach((one) => one[dispose as typeof Symbol.dispose]()) };
  }

  async flush(options?: Wait): Promise<void> {
    await this.#both((client) => client.flush(options));
  }

  async close(options?: CloseOptions): Promise<void> {
    try {
      await this.#both((client) => client.close(options));
    } finally {
      this.#leave();
    }
  }

  [asyncDispose](): Promise<void> {
    return this.close();
  }

  get [COURIER](): never {
    const text = "this version does not support tabmq/idb outbox on a bus with hub.share";
    throw new this.#kit.TabmqError("UNSUPPORTED", text, { data: { name: "idb.outbox" } });
  }

  override addEventListener(type: string, ...rest: [never]): void {
    if (type === "error") this.#errorListeners += 1;
    super.addEventListener(type, ...rest);
    if (type !== "contract" || !this.#contracts.length) return;
    const held = this.#contracts;
    this.#contracts = [];
    queueMicrotask(() => held.forEach((contract) => this.#emit("contract", contract)));
  }

  #at(name: string): BusClient {
    // What is no string is refused by the client.
    return this.#clients[typeof name === "string" ? this.#homes.of(name) : "device"];
  }

  /** Both are asked, and the first failure is told once both have answered. */
  async #both(ask: (client: BusClient) => Promise<unknown>): Promise<void> {
    const { device, hub } = this.#clients;
    const answers = await Promise.allSettled([ask(device), ask(hub)]);
    for (const answer of answers) if (answer.status === "rejected") throw answer.reason;
  }

  #emit<K extends keyof BusEvents>(type: K, detail: BusEvents[K]): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #forward(home: Home, tag: (peer: Peer) => Peer): void {
    const client = this.#clients[home];
    const on = <K extends keyof BusEvents>(type: K, run: (detail: BusEvents[K]) => void) =>
      client.addEventListener(
        type,
        ...([(event: CustomEvent<BusEvents[K]>) => run(event.detail)] as unknown as [never]),
      );
    on("status", () => this.#tellStatus());
    on("peer", ({ change, peer }) => this.#emit("peer", { change, peer: tag(peer) }));
    on("storage", (detail) => this.#emit("storage", { ...detail, home }));
    on("returned", (entry) => this.#emit("returned", entry));
    on("restart", (error) => this.#emit("restart", error));
    on("error", (error) => this.#report(error));
    if (home === "device") on("host", (host) => this.#emit("host", host));
  }

  #tellStatus(): void {
    const status = this.status.get();
    if (status === this.#told) return;
    this.#told = status;
    this.#emit("status", status);
  }

  #report(error: TabmqError | Error): void {
    // An error that nobody hears of would cost hours.
    if (!this.#errorListeners) console.error(error);
    this.#emit("error", error);
  }

  /** A queue that is deleted on the device frees its name, also if only the next host knows. */
  #watchQueues(device: BusClient): void {
    const { engine } = device;
    const look = () => {
      if (!this.#homes.kept.size) return;
      this.#looking = queuesOf(device).then(
        (queues) => this.#homes.keepNoOther(queues),
        // Closed meanwhile, or another host follows.
        () => {},
      );
    };
    const release = (queue: string) => {
      // Its name may have kept others, to which its messages went.
      if (this.#homes.release(queue)) look();
    };
    engine.onDeleted.add(release);
    let { epoch } = this.host.get();
    const leave = this.host.subscribe((host) => {
      if (host.epoch === epoch) return;
      ({ epoch } = host);
      look();
    });
    this.#leave = () => {
      engine.onDeleted.delete(release);
      leave();
    };
  }
}

/** The device first: without it nothing works here. A hub that is gone for good is away. */
function statusOf(device: Status, hub: Status): Status {
  if (device !== "ready") return device;
  return hub === "closed" ? "offline" : hub;
}

/** Peers with their home; the same object for the same peer. */
function tagged(home: Home): (peer: Peer) => Peer {
  const known = new WeakMap<Peer, Peer>();
  return (peer) => {
    const found = known.get(peer) ?? { ...peer, home };
    known.set(peer, found);
    return found;
  };
}
