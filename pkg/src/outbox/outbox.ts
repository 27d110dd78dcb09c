import { CODES } from "../codes.generated.js";
import type { Engine } from "../engine.js";
import { failed, invalid, TabmqError } from "../errors.js";
import { hex } from "../message.js";
import { ignoreFailure } from "../pending.js";
import type { RawBus, RawEventOf } from "../raw.js";
import type { OutboxCounts, OutboxEntry } from "../types.js";
import { Source } from "../watch.js";
import { deliver, failureOf } from "./courier.js";
import { entryOf, type Kept, scopeOf, scopeOfUser, stateOf, unnumbered } from "./entry.js";
import { Home } from "./home.js";
import { DatabaseShelf, MemoryShelf, type Place, type Shelf } from "./shelf.js";

/** What is written down is counted no more often. */
const LOOK_EVERY_MS = 250;
/** After one that failed, with its database or for want of locks. */
const LOOK_AGAIN_MS = 5000;
/** A client is swept once its lock was found free twice, so far apart: a reload takes less. */
const GRACE_MS = 2000;

const NONE: OutboxCounts = { accepted: 0, sent: 0, refused: 0, inDoubt: 0, quarantined: 0 };

/** A send of this client that is written down. */
interface Own {
  readonly number: number;
  send: Uint8Array;
  /** A page of this tab, or another one, asked for it: nobody waits. */
  readonly orphan: boolean;
  readonly at: number;
  /** Until then it ends with its tab. */
  written: boolean;
}

/** What the client of a realm writes down of its sends, and what others left. */
export class SendOutbox {
  readonly counts = new Source<OutboxCounts>(NONE);
  readonly home: Home;
  readonly #engine: Engine;
  readonly #scope: string;
  readonly #own = new Map<number, Own>();
  /** What is told of sends that a receipt waits for. */
  readonly #awaited = new Map<number, (error: TabmqError | undefined) => void>();
  /** Clients whose lock was found free, since when. */
  readonly #dead = new Map<string, number>();
  readonly #sweeping = new Set<string>();
  readonly #over = new AbortController();
  /** What other tabs write is seen by them alone: this one sweeps if there are locks. */
  readonly #sweeps: boolean;
  #shelf: Shelf;
  /** The shelf has worked once: what fails later is worth another try. */
  #worked = false;
  #client = "";
  #last = 0;
  #looked_at = -Infinity;
  /** The next look, and when it is. */
  #next: { readonly timer: ReturnType<typeof setTimeout>; readonly at: number } | undefined;

  constructor(engine: Engine) {
    const { name, options } = engine;
    this.#engine = engine;
    const { hub, host = "auto", storage = "auto" } = options;
    this.#scope = scopeOf(name, options.user, hub !== undefined);
    this.#sweeps =
      host !== "inline"
      && storage === "auto"
      && typeof BroadcastChannel === "function"
      && typeof indexedDB === "object"
      && typeof navigator?.locks?.query === "function";
    this.#shelf = this.#sweeps ? new DatabaseShelf(name, hub !== undefined) : new MemoryShelf();
    const waits = ([[scope], { failure }]: [Place, Kept]) => this.#sends(scope) && !failure;
    this.home = new Home(engine, {
      // Those that are being written are not in the list yet.
      waiting: async () => Math.max(this.#own.size, (await this.#list()).filter(waits).length),
      read: () => this.#again(() => this.#shelf.home(this.#scope)),
      write: (home) => this.#again(() => this.#shelf.setHome(this.#scope, home)),
      claim: () => this.#claim(),
    });
  }

  /** Whose sends are sent: those of the bus, and of the user that its hub told. */
  get scope(): string {
    return scopeOfUser(this.#scope, this.home.user);
  }

  /** Something of this client waits in it, though perhaps nobody waits for that. */
  get holds(): boolean {
    return this.#own.size > 0;
  }

  /** What it holds outlives this realm. */
  get outlives(): boolean {
    return this.#shelf instanceof DatabaseShelf;
  }

  /** Resolves once the send is where it was to go; rejects if it was refused or given up. */
  reached(request: number): Promise<void> {
    const reached = new Promise<void>((resolve, reject) => {
      this.#awaited.set(request, (error) => (error ? reject(error) : resolve()));
    });
    ignoreFailure(reached);
    return reached;
  }

  /** The wasm side is there, and begins to work. */
  begin(raw: RawBus): void {
    this.#own.clear();
    this.#awaited.clear();
    this.#client = "";
    raw.keepSends();
    this.home.bind(raw);
  }

  /** A node was reached. */
  ready(raw: RawBus): void {
    this.#client = hex(raw.clientId());
    this.home.ready();
    this.look();
  }

  end(): void {
    this.#over.abort();
    clearTimeout(this.#next?.timer);
    this.#shelf.close();
  }

  /** The identity is ours: what was written down for it is ours as well. */
  async claimed(raw: RawBus): Promise<void> {
    this.#client = hex(raw.clientId());
    const found = await this.#again(() => this.#list());
    if (!found || raw !== this.#engine.raw) return;
    const left = found.filter(([place, kept]) => this.#isOf(place, this.#client) && !kept.failure);
    if (this.#own.size) {
      // The page was in the cache, and another tab may have taken it for a dead one.
      const sends = new Map(left.map(([place, kept]) => [place[2], kept.send]));
      const own = [...this.#own.values()];
      if (own.every(({ number, send }) => same(sends.get(number), send))) return raw.goOn();
      this.#own.clear();
      raw.giveUpSends();
    }
    for (const [[, , number], { send, at }] of left) {
      this.#last = Math.max(this.#last, number);
      try {
        this.#own.set(raw.takeUp(send, false), { number, send, orphan: true, at, written: true });
      } catch (error) {
        await this.#put(this.#place(number), { send, at, failure: failureOf(error) });
      }
    }
    raw.goOn();
  }

  async keep([, request, send]: RawEventOf<"keep">): Promise<void> {
    const { raw } = this.#engine;
    if (!raw) return;
    this.#client ||= hex(raw.clientId());
    let own = this.#own.get(request);
    if (!own) {
      const at = Date.now();
      own = { number: this.#nextNumber(), send, orphan: false, at, written: false };
      this.#own.set(request, own);
    }
    own.send = send;
    const kept = { send, at: own.at };
    await this.#put(this.#place(own.number), kept);
    own.written = true;
    if (raw !== this.#engine.raw) return;
    this.#isNotEmpty(kept);
    try {
      raw.kept(request);
    } catch {
      // A poisoned instance: another one begins without it.
    }
    this.#engine.events.kept(request);
    this.look();
  }

  /** Who hears that a send is written down must not find the outbox empty until the next look. */
  #isNotEmpty(kept: Kept): void {
    const counts = this.counts.get();
    const written = [...this.#own.values()].filter((own) => own.written).length;
    if (counts.accepted || counts.sent || !written) return;
    const state = stateOf(kept) === "sent" ? "sent" : "accepted";
    this.counts.set({ ...counts, [state]: written });
  }

  async letGo([, request, code, reason, inDoubt, heard]: RawEventOf<"letGo">): Promise<void> {
    const settle = this.#awaited.get(request);
    this.#awaited.delete(request);
    settle?.(code ? failed("the send", code, reason, inDoubt) : undefined);
    const own = this.#own.get(request);
    if (!own) return;
    this.#own.delete(request);
    const place = this.#place(own.number);
    if (code && !heard && code !== CODES.DISCARDED) {
      const kept: Kept = { send: own.send, at: own.at, failure: [code, reason, inDoubt] };
      await this.#put(place, kept);
      this.#returned(place, kept);
    } else {
      await this.#shelf.remove(this.#places(own.number));
    }
    this.look();
  }

  async entries(): Promise<OutboxEntry[]> {
    const found = await this.#list();
    this.#count(found);
    return found.filter(([[scope]]) => this.#sends(scope)).map((one) => this.#entry(...one));
  }

  async retry(id: string): Promise<void> {
    const [from, { send, failure }] = await this.#find("retry", id);
    if (!failure) throw invalid(`outbox.retry: entry ${id} is on its way`, "id");
    const { raw } = this.#engine;
    if (!raw) throw new TabmqError("UNAVAILABLE", "outbox.retry: the bus is not started");
    const anew = { send: unnumbered(send), at: Date.now() };
    if (!(await this.#takeAnew(raw, from, anew))) throw gone("retry", id);
    this.look();
  }

  /** As a new send of this tab. False if it is gone. */
  async #takeAnew(raw: RawBus, from: Place, { send, at }: Kept): Promise<boolean> {
    const number = this.#nextNumber();
    const own: Own = { number, send, orphan: true, at, written: true };
    if (!(await this.#shelf.move(from, this.#place(number), { send, at }))) return false;
    if (raw === this.#engine.raw) this.#own.set(raw.takeUp(send, true), own);
    return true;
  }

  async discard(id: string): Promise<void> {
    const [place, { failure }] = await this.#find("discard", id);
    if (failure) {
      await this.#shelf.remove([place]);
      return this.look();
    }
    const [, client, number] = place;
    const mine = client === this.#client;
    const request = mine && [...this.#own].find(([, own]) => own.number === number)?.[0];
    if (typeof request !== "number")
      throw invalid(`outbox.discard: entry ${id} is on its way from another tab`, "id");
    // Refused if a host may have it.
    this.#engine.direct((raw) => raw.discardSend(request), "outbox.discard");
  }

  async discardOthers(): Promise<number> {
    const others = (await this.#list()).filter(([[scope]]) => !this.#sends(scope));
    await this.#shelf.remove(others.map(([place]) => place));
    this.look();
    return others.length;
  }

  /** The hub has told its user: what this client wrote is that user's, as is what was left. */
  async #claim(): Promise<void> {
    const { scope } = this;
    const { raw } = this.#engine;
    for (const [[of, client, number], kept] of await this.#list()) {
      if (scope !== this.scope || raw !== this.#engine.raw) return;
      if (of !== scope && client === this.#client && this.#sends(of))
        await this.#shelf.move([of, client, number], [scope, client, number], kept);
    }
    // Where tabs share what is written down, one of them goes on as the client that left it.
    if (raw && !this.#sweeps) await this.#inherit(raw);
    this.look();
  }

  /** Sends what an earlier client of this realm left, after what it has sent itself. */
  async #inherit(raw: RawBus): Promise<void> {
    for (const [from, kept] of await this.#list()) {
      if (!this.#sends(from[0]) || from[1] === this.#client || kept.failure) continue;
      if (stateOf(kept) === "accepted") await this.#takeAnew(raw, from, kept);
      else {
        // Only that client could ask the hub whether it has it.
        const lost: Kept = { ...kept, failure: [CODES.UNAVAILABLE, "lane_lost", true] };
        await this.#put(from, lost);
        this.#returned(from, lost);
      }
    }
  }

  /** Looks for what dead tabs left, and counts. */
  look(): void {
    this.#lookAt(this.#looked_at + LOOK_EVERY_MS);
  }

  #lookAt(at: number): void {
    if (this.#over.signal.aborted || (this.#next && this.#next.at <= at)) return;
    clearTimeout(this.#next?.timer);
    const run = () => {
      this.#next = undefined;
      this.#looked_at = performance.now();
      // Nothing else may ever ask for another one.
      this.#look().catch(() => this.#lookAt(performance.now() + LOOK_AGAIN_MS));
    };
    this.#next = { timer: setTimeout(run, Math.max(0, at - performance.now())), at };
  }

  async #look(): Promise<void> {
    const found = await this.#list();
    this.#count(found);
    const left = new Set<string>();
    for (const [place, { failure }] of found) {
      const client = place[1];
      if (!failure && client !== this.#client && this.#isOf(place, client)) left.add(client);
    }
    for (const client of this.#dead.keys()) if (!left.has(client)) this.#dead.delete(client);
    if (!this.#sweeps || !this.#client || !left.size) return;
    const { held = [] } = await navigator.locks.query();
    const alive = new Set(held.filter(({ mode }) => mode === "exclusive").map(({ name }) => name));
    const now = performance.now();
    for (const client of left) {
      if (alive.has(`${this.#scope}:client:${client}`)) this.#dead.delete(client);
      else if (!this.#dead.has(client)) this.#dead.set(client, now);
      else if (now - (this.#dead.get(client) as number) >= GRACE_MS) this.#sweep(client);
    }
    if (this.#dead.size) this.#lookAt(now + GRACE_MS);
  }

  /** Sends what a dead client left, as that client. */
  #sweep(client: string): void {
    if (this.#sweeping.has(client)) return;
    this.#sweeping.add(client);
    const places = new Map<number, Place>();
    const place = (number: number) => places.get(number) as Place;
    const sent = new Map<number, Kept>();
    const legacy = {
      take: async () => {
        const found = await this.#list();
        for (const [at, kept] of found) {
          if (!this.#isOf(at, client) || kept.failure) continue;
          places.set(at[2], at);
          sent.set(at[2], kept);
        }
        return [...sent].map(([number, { send }]) => [number, send] as const);
      },
      keep: (number: number, send: Uint8Array) => {
        const kept = { ...(sent.get(number) as Kept), send };
        sent.set(number, kept);
        return this.#put(place(number), kept);
      },
      letGo: async (number: number, failure: Kept["failure"]) => {
        if (!failure) return this.#shelf.remove([place(number)]);
        const kept = { ...(sent.get(number) as Kept), failure };
        await this.#put(place(number), kept);
        this.#returned(place(number), kept);
      },
    };
    const bytes = Uint8Array.from(client.match(/../g) ?? [], (two) => parseInt(two, 16));
    // A page whose locks are held does not go into the cache.
    const leave = new AbortController();
    const stop = () => leave.abort();
    globalThis.addEventListener?.("pagehide", stop);
    this.#over.signal.addEventListener("abort", stop);
    deliver(this.#engine, bytes, legacy, leave.signal)
      .catch(() => false)
      .finally(() => {
        globalThis.removeEventListener?.("pagehide", stop);
        this.#over.signal.removeEventListener("abort", stop);
        this.#sweeping.delete(client);
        this.#dead.delete(client);
        this.look();
      });
  }

  async #find(verb: string, id: string): Promise<[Place, Kept]> {
    if (typeof id !== "string") throw invalid(`outbox.${verb}: the id must be a string`, "id");
    const own = (await this.#list()).filter(([[scope]]) => this.#sends(scope));
    const found = own.find(([place]) => idOf(place) === id);
    if (!found) throw gone(verb, id);
    return found;
  }

  #count(found: readonly [Place, Kept][]): void {
    const counts = { ...NONE };
    const names = { accepted: "accepted", sent: "sent", refused: "refused", "in-doubt": "inDoubt" };
    for (const [[scope], kept] of found) {
      const name = this.#sends(scope) ? names[stateOf(kept)] : "quarantined";
      counts[name as keyof OutboxCounts] += 1;
    }
    const before = this.counts.get();
    const keys = Object.keys(counts) as (keyof OutboxCounts)[];
    if (keys.some((key) => counts[key] !== before[key])) this.counts.set(counts);
  }

  #entry(place: Place, kept: Kept): OutboxEntry {
    const mine = place[1] === this.#client;
    const own = mine && [...this.#own.values()].find(({ number }) => number === place[2]);
    return entryOf(idOf(place), kept, own ? !own.orphan : false);
  }

  #returned(place: Place, kept: Kept): void {
    this.#engine.events.emit("returned", this.#entry(place, kept));
  }

  /** Above those of the page before, whose client this one goes on as. */
  #nextNumber(): number {
    return (this.#last = Math.max(this.#last + 1, Date.now() * 1000));
  }

  #place(number: number): Place {
    return [this.scope, this.#client, number];
  }

  /** Wherever it may stand: it may have been written before the user was known. */
  #places(number: number): Place[] {
    return [this.#place(number), [this.#scope, this.#client, number]];
  }

  /** What was written before a hub told its user is that of whoever comes first. */
  #sends(scope: string): boolean {
    return scope === this.scope || scope === this.#scope;
  }

  #isOf([scope, of]: Place, client: string): boolean {
    return this.#sends(scope) && of === client;
  }

  async #put(place: Place, kept: Kept): Promise<void> {
    await this.#again(async () => {
      await this.#shelf.put(place, kept);
      this.#worked = true;
    });
  }

  /**
   * What waits for the shelf waits until it works: a send whose number is not written must not go
   * out, and what was written must not be forgotten. Undefined once this is over.
   */
  async #again<T>(step: () => Promise<T>): Promise<T | undefined> {
    for (let wait_ms = 100; ; wait_ms = Math.min(wait_ms * 2, 10_000)) {
      try {
        return await step();
      } catch (error) {
        if (this.#over.signal.aborted) return undefined;
        if (this.#refused(error)) continue;
      }
      await new Promise((resolve) => setTimeout(resolve, wait_ms));
    }
  }

  async #list(): Promise<[Place, Kept][]> {
    try {
      const found = await this.#shelf.list();
      this.#worked = true;
      return found;
    } catch (error) {
      if (this.#refused(error)) return this.#shelf.list();
      throw error;
    }
  }

  /** A context that may have no database writes down in memory. */
  #refused(error: unknown): boolean {
    const { name } = Object(error) as { name?: string };
    const known = name === "SecurityError" || name === "InvalidStateError";
    if (this.#worked || !known) return false;
    this.#shelf.close();
    this.#shelf = new MemoryShelf();
    return true;
  }
}

const idOf = ([, client, number]: Place) => `${client}-${number}`;

function gone(verb: string, id: string): TabmqError {
  return new TabmqError("NOT_FOUND", `outbox.${verb}: there is no entry ${id}`);
}

function same(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a?.length === b.length && b.every((byte, index) => byte === a[index]);
}
