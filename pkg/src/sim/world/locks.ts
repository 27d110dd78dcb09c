import type { Realm } from "./realm.js";
import type { World } from "./world.js";

type Mode = "exclusive" | "shared";
type Granted = (lock: { readonly name: string; readonly mode: Mode } | null) => unknown;

interface Request {
  readonly realm: Realm;
  readonly name: string;
  readonly mode: Mode;
  readonly granted: Granted;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Options {
  mode?: Mode;
  ifAvailable?: boolean;
  steal?: boolean;
  signal?: AbortSignal;
}

/** The Web Locks of all pages. A page that is gone gives back what it held. */
export class Locks {
  readonly #world: World;
  readonly #held = new Set<Request>();
  /** In the order of their requests. */
  readonly #waiting = new Set<Request>();

  constructor(world: World) {
    this.#world = world;
  }

  /** The `navigator.locks` of a page. */
  managerFor(realm: Realm): object {
    return {
      request: (name: string, ...rest: [Granted] | [Options, Granted]) => {
        const granted = rest.at(-1) as Granted;
        const options = rest.length > 1 ? (rest[0] as Options) : {};
        return this.#request(realm, String(name), options, granted);
      },
      query: () =>
        new Promise((resolve) => {
          const told = () => resolve({ held: list(this.#held), pending: list(this.#waiting) });
          this.#world.schedule.after(this.#world.latency(), realm, "locks", told);
        }),
    };
  }

  /** Pages that hold an exclusive lock whose name fits. */
  holders(fits: (name: string) => boolean): Set<Realm> {
    const held = [...this.#held].filter(({ name, mode }) => mode === "exclusive" && fits(name));
    return new Set(held.map(({ realm }) => realm));
  }

  /** The browser notices a little later that the page is gone. */
  drop(realm: Realm): void {
    for (const request of this.#waiting) if (request.realm === realm) this.#waiting.delete(request);
    this.#world.schedule.after(this.#world.latency(), undefined, "locks fall free", () => {
      for (const request of this.#held) if (request.realm === realm) this.#held.delete(request);
      this.#grant();
    });
  }

  #request(realm: Realm, name: string, options: Options, granted: Granted): Promise<unknown> {
    const { mode = "exclusive", ifAvailable, steal, signal } = options;
    return new Promise((resolve, reject) => {
      const request: Request = { realm, name, mode, granted, resolve, reject };
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener("abort", () => {
        if (this.#waiting.delete(request)) reject(signal.reason);
        this.#grant();
      });
      this.#world.schedule.after(this.#world.latency(), realm, `request ${name}`, () => {
        if (signal?.aborted) return;
        if (steal) this.#steal(request);
        else if (this.#isFree(request)) this.#give(request);
        else if (ifAvailable) void this.#hold(request, null);
        else this.#waiting.add(request);
      });
    });
  }

  #steal(request: Request): void {
    for (const held of this.#held) {
      if (held.name !== request.name) continue;
      this.#held.delete(held);
      this.#world.schedule.after(this.#world.latency(), held.realm, "stolen", () =>
        held.reject(new DOMException("the lock was stolen", "AbortError")),
      );
    }
    this.#give(request);
  }

  #isFree({ name, mode }: Request): boolean {
    const others = [...this.#held, ...this.#waiting].filter((other) => other.name === name);
    return others.every((other) => mode === "shared" && other.mode === "shared");
  }

  #give(request: Request): void {
    this.#held.add(request);
    const { realm, name, mode } = request;
    this.#world.schedule.after(this.#world.latency(), realm, `granted ${name}`, () => {
      void this.#hold(request, { name, mode });
    });
  }

  async #hold(request: Request, lock: { name: string; mode: Mode } | null): Promise<void> {
    try {
      const value = await request.granted(lock);
      this.#release(request);
      request.resolve(value);
    } catch (error) {
      this.#release(request);
      request.reject(error);
    }
  }

  #release(request: Request): void {
    if (this.#held.delete(request)) this.#grant();
  }

  /** Gives locks to those that wait, in their order. */
  #grant(): void {
    const blocked = new Set<string>();
    for (const request of this.#waiting) {
      const { name, mode } = request;
      const held = [...this.#held].filter((other) => other.name === name);
      const fits = held.every((other) => mode === "shared" && other.mode === "shared");
      if (blocked.has(name) || !fits) blocked.add(name);
      else {
        this.#waiting.delete(request);
        this.#give(request);
      }
    }
  }
}

function list(requests: Set<Request>): { name: string; mode: Mode }[] {
  return [...requests].map(({ name, mode }) => ({ name, mode }));
}
