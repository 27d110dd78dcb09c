import type { SimulatorModule } from "../module.js";
import type {
  Page,
  PageScript,
  Scenario,
  ScenarioFault,
  ScenarioFinding,
  ScenarioOptions,
  ScenarioReport,
  SimulatedWorld,
  Tab,
} from "./scenario.js";
import { SCENARIO_FAULTS } from "./scenario.js";
import type { Realm } from "./realm.js";
import { World } from "./world.js";

/** Streams of chance beside those of the simulator of the core. */
const STREAM = { chance: 100, entropy: 101, misfortune: 102 } as const;
const VIRTUAL_MS_MAX = 600_000;
/** How soon the user of a page that is gone opens it anew. */
const REOPEN_MS = 1000;
const HOST_LOCK = /:node$/;

export type CheckedScenario = Required<Pick<ScenarioOptions, "seed" | "tabs" | "faults">>
  & Pick<ScenarioOptions, "killAt" | "virtualMsMax">;

/** Runs a scenario to its end in a world of its own. */
export async function runScenario<T>(
  options: CheckedScenario,
  scenario: Scenario<T>,
  simulator: SimulatorModule,
  module: WebAssembly.Module,
): Promise<ScenarioReport<T>> {
  const run = new Run<T>(options, simulator, module);
  return run.toItsEnd(scenario);
}

interface Place {
  readonly tab: Tab;
  realm: Realm | undefined;
  script: PageScript | undefined;
  /** While its first page was there. */
  steps: number;
  loads: number;
}

class Run<T> {
  readonly #options: CheckedScenario;
  readonly #world: World;
  readonly #misfortune: { between(first: number, last: number): number };
  readonly #places: Place[];
  readonly #findings: ScenarioFinding[] = [];
  readonly #conditions = new Set<{ condition: () => boolean; resolve: () => void }>();
  #over = false;
  #value: T | undefined;

  constructor(options: CheckedScenario, simulator: SimulatorModule, module: WebAssembly.Module) {
    const { Chance, History } = simulator;
    const { seed, faults } = options;
    this.#options = options;
    const counts = Object.fromEntries(Object.keys(SCENARIO_FAULTS).map((kind) => [kind, 0]));
    this.#world = new World(faults, counts as Record<ScenarioFault, number>, {
      chance: new Chance(seed, STREAM.chance),
      entropy: new Chance(seed, STREAM.entropy),
      history: new History(),
      module,
    });
    this.#misfortune = new Chance(seed, STREAM.misfortune);
    this.#places = Array.from({ length: options.tabs }, (_, index) => this.#place(index));
  }

  async toItsEnd(scenario: Scenario<T>): Promise<ScenarioReport<T>> {
    const world = this.#world;
    const turns = new Turns();
    const { virtualMsMax = VIRTUAL_MS_MAX } = this.#options;
    void this.#play(scenario);
    this.#planMisfortune();
    try {
      for (;;) {
        await turns.next();
        this.#look();
        if (this.#over) break;
        if (world.now_ms > virtualMsMax) {
          this.#find("stuck", `it has not ended after ${virtualMsMax} ms of virtual time`);
          break;
        }
        if (!world.step(() => this.#count())) {
          this.#find("stuck", "nothing is left to happen, and it has not ended");
          break;
        }
      }
    } finally {
      turns.close();
      for (const { realm } of this.#places) if (realm) world.end(realm);
    }
    return {
      seed: this.#options.seed,
      hash: world.digest(),
      virtualMs: world.now_ms,
      steps: this.#places.map(({ steps }) => steps),
      faults: world.faults,
      findings: this.#findings,
      ...(this.#value === undefined ? {} : { value: this.#value }),
    };
  }

  async #play(scenario: Scenario<T>): Promise<void> {
    try {
      this.#value = await scenario(this.#seen());
    } catch (error) {
      this.#find("scenario", String(error), error);
    }
    this.#over = true;
  }

  #seen(): SimulatedWorld {
    const world = this.#world;
    return {
      tabs: this.#places.map(({ tab }) => tab),
      now: () => world.now_ms,
      sleep: (ms) =>
        new Promise((resolve) => {
          world.schedule.after(ms * 1000, undefined, "sleep", resolve);
        }),
      until: (condition) =>
        new Promise((resolve) => {
          this.#conditions.add({ condition, resolve });
        }),
      heal: () => {
        world.calm = true;
        for (const { realm } of this.#places) if (realm) world.thaw(realm);
      },
    };
  }

  #look(): void {
    for (const entry of this.#conditions) {
      if (!entry.condition()) continue;
      this.#conditions.delete(entry);
      entry.resolve();
    }
  }

  #find(checker: ScenarioFinding["checker"], what: string, error?: unknown): void {
    this.#findings.push(error === undefined ? { checker, what } : { checker, what, error });
  }

  /** Counts a step of each first page, and ends the one whose turn it is to be gone. */
  #count(): void {
    const { killAt } = this.#options;
    for (const place of this.#places) {
      if (place.loads !== 1 || !place.realm) continue;
      place.steps += 1;
      if (killAt?.tab === place.tab.index && killAt.step === place.steps) this.#die(place);
    }
  }

  #place(index: number): Place {
    const world = this.#world;
    const place: Place = {
      realm: undefined,
      script: undefined,
      steps: 0,
      loads: 0,
      tab: {
        index,
        get alive() {
          return place.realm !== undefined;
        },
        load: (script) => {
          this.#leave(place);
          place.script = script;
          this.#load(place, new Map());
        },
        reload: () => this.#reload(place),
        kill: () => this.#leave(place),
        freeze: () => place.realm && world.freeze(place.realm),
        thaw: () => place.realm && world.thaw(place.realm),
      },
    };
    return place;
  }

  #leave(place: Place): void {
    if (place.realm) this.#world.end(place.realm);
    place.realm = undefined;
  }

  #reload(place: Place): void {
    const { realm } = place;
    if (!realm) return;
    realm.window.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: false }));
    this.#leave(place);
    this.#world.schedule.after(1000, undefined, "reload", () => {
      if (!place.realm) this.#load(place, realm.session);
    });
  }

  /** The page is gone by a fault, and its user comes back. */
  #die(place: Place): void {
    this.#leave(place);
    this.#world.schedule.after(REOPEN_MS * 1000, undefined, "reopen", () => {
      if (!place.realm) this.#load(place, new Map());
    });
  }

  #load(place: Place, session: Map<string, string>): void {
    const { script } = place;
    if (!script) return;
    const realm = this.#world.load(place.tab.index, session);
    place.realm = realm;
    place.loads += 1;
    const page: Page = {
      tabmq: realm.tabmq,
      idb: realm.tabmq.idb,
      indexedDB: realm.indexedDB,
      now: () => this.#world.now_ms,
      sleep: (ms) => realm.sleep(ms),
    };
    const played = (async () => script(page))();
    played.catch((error: unknown) => {
      if (!realm.dead) this.#find("page", String(error), error);
    });
  }

  #planMisfortune(): void {
    const moments = Object.entries(this.#options.faults).filter(
      ([kind, perMille]) => SCENARIO_FAULTS[kind as ScenarioFault] === "moment" && perMille,
    ) as [ScenarioFault, number][];
    if (!moments.length) return;
    const wait_ms = this.#misfortune.between(50, 2500);
    this.#world.schedule.after(wait_ms * 1000, undefined, "misfortune", () => {
      if (this.#world.calm) return;
      const sum = moments.reduce((total, [, perMille]) => total + perMille, 0);
      let drawn = this.#misfortune.between(1, Math.max(1000, sum));
      const kind = moments.find(([, perMille]) => (drawn -= perMille) <= 0)?.[0];
      if (kind) this.#hit(kind);
      this.#planMisfortune();
    });
  }

  #hit(kind: ScenarioFault): void {
    const world = this.#world;
    if (kind.startsWith("wall-jumped")) {
      const by_ms = this.#misfortune.between(1, 30_000);
      world.jump(kind === "wall-jumped-ahead" ? by_ms : -by_ms);
      world.faults[kind] += 1;
      return;
    }
    const hosts = world.locks.holders((name) => HOST_LOCK.test(name));
    const hit = this.#places.filter(({ realm }) => {
      return realm && !realm.frozen && (kind !== "node-died" || hosts.has(realm));
    });
    if (!hit.length) return;
    const place = hit[this.#misfortune.between(0, hit.length - 1)] as Place;
    world.faults[kind] += 1;
    if (kind === "client-reloaded") this.#reload(place);
    else if (kind !== "client-frozen") this.#die(place);
    else {
      const realm = place.realm as Realm;
      world.freeze(realm);
      const thaw = () => world.thaw(realm);
      world.schedule.after(this.#misfortune.between(100, 6000) * 1000, undefined, "thaw", thaw);
    }
  }
}

/** Turns of the event loop: before each one everything that handlers could do at once is done. */
class Turns {
  readonly #channel = new MessageChannel();
  #resolve: () => void = () => {};

  constructor() {
    this.#channel.port1.onmessage = () => this.#resolve();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#channel.port2.postMessage(undefined);
    });
  }

  close(): void {
    this.#channel.port1.close();
  }
}
