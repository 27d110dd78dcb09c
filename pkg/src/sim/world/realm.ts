import { loadPackage } from "virtual:package";

import { channelClass } from "./channels.js";
import type { World } from "./world.js";

type Globals = Record<string, unknown>;

/** One loaded page: its globals, its copy of the package, and what it waits for. */
export class Realm {
  readonly id: number;
  readonly tab: number;
  readonly session: Map<string, string>;
  readonly window = new EventTarget();
  readonly document = Object.assign(new EventTarget(), {
    visibilityState: "visible",
    hidden: false,
  });
  /** Nothing of it runs any more. */
  dead = false;
  frozen = false;
  readonly tabmq: typeof import("./inside.js");
  readonly indexedDB: IDBFactory;
  readonly #world: World;
  readonly #origin_us: number;

  constructor(world: World, id: number, tab: number, session: Map<string, string>) {
    this.#world = world;
    this.id = id;
    this.tab = tab;
    this.session = session;
    this.#origin_us = world.schedule.now;
    this.indexedDB = world.databases.factoryFor(this);
    this.tabmq = loadPackage(this.#globals());
    this.tabmq.setDefaultSource(() => world.module);
  }

  /** Resolves after so many milliseconds of virtual time; never if the page is gone by then. */
  sleep(wait_ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#world.schedule.after(wait_ms * 1000, this, "sleep", resolve);
    });
  }

  #globals(): Globals {
    const world = this.#world;
    const { window, document } = this;
    const globals: Globals = builtins();
    const listening = {
      addEventListener: window.addEventListener.bind(window),
      removeEventListener: window.removeEventListener.bind(window),
      dispatchEvent: window.dispatchEvent.bind(window),
    };
    const navigator = { locks: world.locks.managerFor(this), userAgent: "simulated" };
    const location = { origin: "https://simulated.example", href: "https://simulated.example/" };
    Object.assign(globals, listening, this.#clocks(), {
      globalThis: globals,
      self: globals,
      window: globals,
      parent: globals,
      document,
      navigator,
      location,
      crypto: { getRandomValues: (bytes: Uint8Array) => world.fill(bytes) },
      BroadcastChannel: channelClass(world.channels, this),
      indexedDB: this.indexedDB,
      IDBKeyRange: world.databases.keyRange,
      sessionStorage: sessionStorageOf(this.session),
      WebAssembly: this.#webAssembly(),
      Worker: undefined,
      SharedWorker: undefined,
    });
    return globals;
  }

  #clocks(): Globals {
    const { schedule } = this.#world;
    const unix_ms = () => this.#world.unix_ms;
    const timers = new Map<number, { cancelled: boolean }>();
    let last = 0;
    return {
      setTimeout: (run: () => void, wait_ms = 0) => {
        last += 1;
        const id = last;
        const fire = () => {
          timers.delete(id);
          run();
        };
        timers.set(id, schedule.after(Math.max(1, wait_ms) * 1000, this, "timer", fire));
        return id;
      },
      clearTimeout: (id: number) => {
        const timer = timers.get(id);
        if (timer) timer.cancelled = true;
        timers.delete(id);
      },
      performance: { now: () => (schedule.now - this.#origin_us) / 1000 },
      Date: new Proxy(Date, {
        construct: (target, given: [number]) =>
          given.length ? new target(...given) : new target(unix_ms()),
        get: (target, name) => (name === "now" ? unix_ms : Reflect.get(target, name)),
      }),
    };
  }

  /** Instances are made at once, and nothing calls into one whose page is gone. */
  #webAssembly(): Globals {
    const { Module, Instance } = WebAssembly;
    const instantiate = async (module: WebAssembly.Module, imports: WebAssembly.Imports) => {
      const { exports } = new Instance(module, imports);
      return { exports: this.#whileAlive(exports) };
    };
    return { Module, Instance, instantiate };
  }

  #whileAlive(exports: WebAssembly.Exports): WebAssembly.Exports {
    const guarded: WebAssembly.Exports = {};
    for (const [name, value] of Object.entries(exports)) {
      const run = value as (...parameters: unknown[]) => unknown;
      const guard = (...parameters: unknown[]) => (this.dead ? [] : run(...parameters));
      guarded[name] = typeof value === "function" ? guard : value;
    }
    return guarded;
  }
}

/** What the language has, and the platform has that performs no input or output. */
function builtins(): Globals {
  const names = Object.getOwnPropertyNames(globalThis).filter((name) => /^[A-Z]/.test(name));
  const globals: Globals = {};
  for (const name of names) {
    if (!PERFORMING.test(name)) globals[name] = (globalThis as Globals)[name];
  }
  return Object.assign(globals, { console, queueMicrotask, structuredClone });
}

const PERFORMING = /^(?:BroadcastChannel|Worker|SharedWorker|WebSocket|EventSource|IDB.*)$/;

function sessionStorageOf(kept: Map<string, string>): object {
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  };
}
