import type { Chance, History } from "../module.js";
import type { ScenarioFault, ScenarioFaults } from "./scenario.js";
import { Channels } from "./channels.js";
import { Databases } from "./database.js";
import { Locks } from "./locks.js";
import { Realm } from "./realm.js";
import { type Entry, Schedule } from "./schedule.js";

/** 2023-11-14, as in the simulator of the core. */
const UNIX_MS_AT_START = 1_700_000_000_000;

/** What all pages share: one clock, one device, and what goes wrong. */
export class World {
  readonly schedule = new Schedule<Realm>();
  readonly chance: Chance;
  readonly module: WebAssembly.Module;
  readonly channels = new Channels(this);
  readonly locks = new Locks(this);
  readonly databases: Databases;
  readonly faults: Record<ScenarioFault, number>;
  readonly #entropy: Chance;
  readonly #history: History;
  readonly #chances: ScenarioFaults;
  readonly #held = new Map<Realm, Entry<Realm>[]>();
  #wall_ms = 0;
  #realms = 0;
  calm = false;

  constructor(
    chances: ScenarioFaults,
    counts: Record<ScenarioFault, number>,
    parts: { chance: Chance; entropy: Chance; history: History; module: WebAssembly.Module },
  ) {
    this.#chances = chances;
    this.faults = counts;
    this.chance = parts.chance;
    this.#entropy = parts.entropy;
    this.#history = parts.history;
    this.module = parts.module;
    this.databases = new Databases(this);
  }

  get now_ms(): number {
    return this.schedule.now / 1000;
  }

  get unix_ms(): number {
    return UNIX_MS_AT_START + Math.floor(this.now_ms) + this.#wall_ms;
  }

  /** The wall clock jumps; no other one does. */
  jump(by_ms: number): void {
    this.#wall_ms += by_ms;
  }

  /** Microseconds that a message or a lock takes. */
  latency(): number {
    return this.chance.between(10, 2000);
  }

  /** Draws whether one operation meets this fault, and counts it. */
  occurs(fault: ScenarioFault): boolean {
    const perMille = this.#chances[fault] ?? 0;
    if (!perMille || this.calm || this.chance.between(1, 1000) > perMille) return false;
    this.faults[fault] += 1;
    return true;
  }

  fill(bytes: Uint8Array): Uint8Array {
    this.#entropy.fill(bytes);
    return bytes;
  }

  record(what: string, bytes: Uint8Array = new Uint8Array()): void {
    this.#history.add(`${this.schedule.now} ${what}`, bytes);
  }

  digest(): string {
    return this.#history.digest();
  }

  load(tab: number, session: Map<string, string>): Realm {
    this.#realms += 1;
    this.record(`load ${tab}`);
    return new Realm(this, this.#realms, tab, session);
  }

  /** The page is gone: nothing of it runs any more. */
  end(realm: Realm): void {
    if (realm.dead) return;
    realm.dead = true;
    this.record(`end ${realm.id}`);
    this.#thaw(realm);
    this.channels.drop(realm);
    this.locks.drop(realm);
    this.databases.drop(realm);
  }

  freeze(realm: Realm): void {
    if (realm.frozen || realm.dead) return;
    realm.document.dispatchEvent(new Event("freeze"));
    realm.frozen = true;
    this.record(`freeze ${realm.id}`);
    this.#held.set(realm, []);
  }

  thaw(realm: Realm): void {
    if (!realm.frozen || realm.dead) return;
    this.record(`thaw ${realm.id}`);
    const resume = () => realm.document.dispatchEvent(new Event("resume"));
    this.schedule.after(0, realm, "resume", resume);
    this.#thaw(realm);
  }

  /** Lets the next thing happen, after `before`. False if there is none. */
  step(before: () => void): boolean {
    const entry = this.schedule.pop();
    if (!entry) return false;
    const { owner, what, run } = entry;
    if (owner?.dead) return true;
    before();
    if (owner?.dead) return true;
    const holder = owner?.frozen ? owner : this.#whoHoldsUp(what);
    if (holder) {
      this.#held.get(holder)?.push(entry);
      return true;
    }
    this.record(`${owner?.id ?? 0} ${what}`);
    run();
    return true;
  }

  /** A page that stands still in a transaction holds up the storage. */
  #whoHoldsUp(what: string): Realm | undefined {
    if (what !== "storage") return undefined;
    for (const realm of this.#held.keys()) if (this.databases.isRunning(realm)) return realm;
    return undefined;
  }

  #thaw(realm: Realm): void {
    realm.frozen = false;
    const held = this.#held.get(realm) ?? [];
    this.#held.delete(realm);
    for (const entry of held) {
      if (entry.cancelled) continue;
      this.schedule.after(0, entry.owner, entry.what, entry.run);
    }
  }
}
