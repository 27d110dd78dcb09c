import type { Realm } from "./realm.js";
import type { World } from "./world.js";

interface Open {
  readonly name: string;
  readonly realm: Realm;
  readonly target: EventTarget;
  /** When the last message to it arrives: messages keep their order. */
  busy_until: number;
}

/** The channels of all pages: what one posts, every other open one of the name hears later. */
export class Channels {
  readonly #world: World;
  readonly #open = new Set<Open>();

  constructor(world: World) {
    this.#world = world;
  }

  open(name: string, realm: Realm, target: EventTarget): Open {
    const entry: Open = { name, realm, target, busy_until: 0 };
    if (!realm.dead) this.#open.add(entry);
    return entry;
  }

  close(entry: Open): void {
    this.#open.delete(entry);
  }

  /** The page is gone, and its channels with it. */
  drop(realm: Realm): void {
    for (const entry of this.#open) if (entry.realm === realm) this.#open.delete(entry);
  }

  post(from: Open, data: unknown): void {
    if (!this.#open.has(from)) return;
    const world = this.#world;
    const bytes = data instanceof Uint8Array ? data : new Uint8Array();
    world.record(`post ${from.realm.id} ${from.name}`, bytes);
    for (const to of this.#open) {
      if (to === from || to.name !== from.name) continue;
      const copy: unknown = structuredClone(data);
      if (to.realm !== from.realm && world.occurs("message-dropped")) continue;
      let wait = world.latency();
      if (world.occurs("link-delayed")) wait += world.chance.between(1000, 1_500_000);
      to.busy_until = Math.max(to.busy_until, world.schedule.now + wait);
      world.schedule.after(to.busy_until - world.schedule.now, to.realm, "message", () => {
        if (!this.#open.has(to)) return;
        to.target.dispatchEvent(new MessageEvent("message", { data: copy }));
      });
    }
  }
}

/** The `BroadcastChannel` of a page. */
export function channelClass(channels: Channels, realm: Realm): new (name: string) => EventTarget {
  return class extends EventTarget {
    readonly name: string;
    readonly #entry: Open;

    constructor(name: string) {
      super();
      this.name = String(name);
      this.#entry = channels.open(this.name, realm, this);
    }

    postMessage(data: unknown): void {
      channels.post(this.#entry, data);
    }

    close(): void {
      channels.close(this.#entry);
    }
  };
}
