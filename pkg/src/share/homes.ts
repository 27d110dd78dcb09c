import type { Home } from "../types.js";
import { canMeet, covers, faultOf, type FilterLimits, fits, SYSTEM } from "./filters.js";
import type { Kit } from "./kit.js";

/** More filters would be looked through with every name. */
const FILTERS_MAX = 64;
/** What the name of a dead-letter queue ends in, if a queue names none. */
const DEAD = ".dead";
const ALL_DEAD = /(\.dead)+$/;

/** A queue that is on the device, with the queues that its messages go to. */
export interface Existing {
  readonly name: string;
  readonly options: { readonly deadLetter?: string | false; readonly expired?: string };
}

/** Which home a name has. */
export class Homes {
  readonly #error: Kit["TabmqError"];
  readonly #share: readonly string[];
  /** Queues that stay on the device though a filter covers them. */
  #kept = new Set<string>();

  /** Throws `INVALID` for filters that are none. */
  constructor({ TabmqError }: Kit, share: unknown, limits: FilterLimits) {
    this.#error = TabmqError;
    this.#share = this.#check(share, limits);
  }

  /** Queues that a filter covers and that are on the device: they stay there. */
  get kept(): ReadonlySet<string> {
    return this.#kept;
  }

  /** Of a topic, a service or a role. */
  of(name: string): Home {
    return this.#share.some((filter) => fits(filter, name)) ? "hub" : "device";
  }

  /** Of a queue. Dead letters are where their queue is. */
  ofQueue(name: string): Home {
    for (let plain = name; ; plain = plain.slice(0, -DEAD.length)) {
      if (this.#kept.has(plain)) return "device";
      if (!plain.endsWith(DEAD)) return this.of(plain);
    }
  }

  /** Of what a filter stands for. Each home has topics of the system. */
  ofFilter(filter: string): Home | "both" {
    if (filter.split(".", 1)[0] === SYSTEM) return "both";
    if (this.#share.some((shared) => covers(shared, filter))) return "hub";
    return this.#share.some((shared) => canMeet(shared, filter)) ? "both" : "device";
  }

  /**
   * What is listened to at the hub for a filter that fits topics of both homes: no more than it may
   * be needed, if one filter says that. A grant need not cover the rest.
   */
  filterAtHub(filter: string): string {
    const [met, another] = this.#share.filter((shared) => canMeet(shared, filter));
    return met !== undefined && another === undefined && covers(filter, met) ? met : filter;
  }

  /** Whether a filter can stand for a queue at the hub; dead letters may have another ending. */
  mayListHub(filter: string): boolean {
    return this.ofFilter(filter) !== "device" || /(^|\.)([*#]|dead)$/.test(filter);
  }

  /** Throws `MIXED_HOMES` unless the name lives at `home`. */
  require(home: Home, name: string, kind: "queue" | "topic" = "queue"): void {
    const other = kind === "queue" ? this.ofQueue(name) : this.of(name);
    if (other === home) return;
    const where = other === "hub" ? "at the hub" : "on the device";
    throw this.mixed(`${kind} "${name}" lives ${where}, and what it is used with does not`, name);
  }

  mixed(text: string, name: string): Error {
    return new this.#error("MIXED_HOMES", text, { data: { name } });
  }

  /** Takes note of what the device has. */
  keep(queues: readonly Existing[]): void {
    this.#kept = this.#coveredOf(queues);
  }

  /** Some of what was kept may be gone. What has come since is not kept. */
  keepNoOther(queues: readonly Existing[]): void {
    const there = this.#coveredOf(queues);
    this.#kept = new Set([...this.#kept].filter((name) => there.has(name)));
  }

  /** The queue is gone from the device: its name is the hub's from now on, if it was kept. */
  release(name: string): boolean {
    return this.#kept.delete(name);
  }

  #coveredOf(queues: readonly Existing[]): Set<string> {
    const isCovered = (name: string) => this.of(name.replace(ALL_DEAD, "")) === "hub";
    const kept = new Set<string>();
    for (const { name, options } of queues) {
      if (!isCovered(name)) continue;
      for (const one of [name, options.deadLetter, options.expired])
        if (one && isCovered(one)) kept.add(one);
    }
    return kept;
  }

  #check(share: unknown, limits: FilterLimits): readonly string[] {
    const refuse = (text: string) =>
      new this.#error("INVALID", `connect option "hub": share ${text}`, { data: { name: "hub" } });
    if (!Array.isArray(share)) throw refuse("must be a list of filters");
    if (!share.length) throw refuse("names nothing: leave out `hub`, and all stays on the device");
    if (share.length > FILTERS_MAX) throw refuse(`has more than ${FILTERS_MAX} filters`);
    for (const filter of share as unknown[]) {
      const fault = faultOf(filter, limits);
      if (fault) throw refuse(`has a filter that ${fault}`);
      if ((filter as string).split(".", 1)[0] === SYSTEM)
        throw refuse(`can't cover ${SYSTEM}: each home has topics of its own there`);
    }
    return [...(share as string[])];
  }
}
