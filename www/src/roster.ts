import type { Peer } from "tabmq";
import { COLORS, colorOf, nameOf, tabsById } from "./names";
import { type PlaygroundBus, type Progress, TOPIC_PROGRESS } from "./schema";

/** A tab that is here, or was and did some of the work. */
export interface TabState {
  readonly id: string;
  readonly name: string;
  /** A number; see `colorName`. */
  readonly color: number;
  readonly me: boolean;
  readonly here: boolean;
  readonly hosts: boolean;
  /** False for a tab that has not told anything yet. */
  readonly heard: boolean;
  readonly progress: Progress;
}

const NOTHING: Progress = { done: 0, repeats: 0, busy: 0, slots: 0, hosts: 0 };
const POST_MS = 200;
/** Tabs that are gone stay on show for their share of the work, the latest ones. */
const GONE_MAX = 4;
/** Tabs that something is remembered of. */
const KNOWN_MAX = 100;

/** Who is here and what each does. Tabs tell each other by live messages. */
export class Roster {
  readonly #bus: PlaygroundBus;
  readonly #progress = new Map<string, Progress>();
  /** As the tabs told, also those that are gone by now. */
  readonly #colors = new Map<string, number>();
  readonly #changed: () => void;
  #own: Progress = NOTHING;
  #timer: number | undefined;

  constructor(bus: PlaygroundBus, changed: () => void) {
    this.#bus = bus;
    this.#changed = changed;
    bus.peers.subscribe((peers) => {
      this.#learnColors(peers);
      changed();
    });
    bus.host.subscribe(({ here, epoch }) => {
      this.setOwn({ hosts: here ? epoch : 0 });
      changed();
    });
    const heard = bus.subscribe<Progress>(TOPIC_PROGRESS, ({ publisher, body }) => {
      this.#hear(publisher, body);
    });
    // Whoever is new learns from the answers to its first message.
    heard.ready().then(() => this.#post(), () => {});
  }

  /** Changes what this tab tells about itself. */
  setOwn(change: Partial<Progress>): void {
    this.#own = { ...this.#own, ...change };
    this.#changed();
    this.#postSoon();
  }

  /** What a record from before this page tells about tabs that are gone. */
  remember(done_by_tab: ReadonlyMap<string, number>): void {
    for (const [id, done] of done_by_tab) {
      if (id === this.#bus.peer.id) this.setOwn({ done: Math.max(done, this.#own.done) });
      else if (!this.#progress.has(id)) this.#progress.set(id, { ...NOTHING, done });
    }
    this.#changed();
  }

  /** Everybody starts to count again. */
  forget(): void {
    this.#progress.clear();
    this.setOwn({ done: 0, repeats: 0 });
  }

  nameOf(id: string): string {
    return this.#bus.peers.get().find((peer) => peer.id === id)?.name ?? nameOf(this.#tabOf(id));
  }

  colorOf(id: string): number {
    return this.#colors.get(id) ?? colorOf(id);
  }

  /** This tab first, then the others that are here, then those that are gone. */
  tabs(): TabState[] {
    const { id: own } = this.#bus.peer;
    const peers = this.#bus.peers.get();
    const tabs = tabsById(peers);
    const once = peers.filter(({ id }) => tabs.get(id) === id);
    const present = new Map(once.map((peer) => [peer.id, peer]));
    const ids = new Set([...(own ? [own] : []), ...present.keys()]);
    const host = this.hostId(present);
    const gone = [...this.#progress.keys()].filter((id) => !ids.has(id) && this.#of(id).done > 0);
    return [...ids, ...gone.slice(-GONE_MAX)].map((id) => ({
      id,
      name: present.get(id)?.name ?? nameOf(id),
      color: this.colorOf(id),
      me: id === own,
      here: ids.has(id),
      hosts: id === host,
      heard: id === own || this.#progress.has(id),
      progress: this.#of(id),
    }));
  }

  /** All effects that this tab knows of were repeated so often. */
  repeats(): number {
    let sum = this.#own.repeats;
    for (const [id, { repeats }] of this.#progress) if (id !== this.#bus.peer.id) sum += repeats;
    return sum;
  }

  /** The tab that last said that it hosts the node we see. */
  hostId(present = new Map<string, Peer>()): string | undefined {
    const { epoch, here } = this.#bus.host.get();
    if (here) return this.#bus.peer.id;
    const host = [...this.#progress].find(([id, { hosts }]) => hosts === epoch && present.has(id));
    return epoch ? host?.[0] : undefined;
  }

  #of(id: string): Progress {
    return id === this.#bus.peer.id ? this.#own : this.#progress.get(id) ?? NOTHING;
  }

  /** Tabs tell their colors in tags. Of two with the same one, the larger id takes another. */
  #learnColors(peers: readonly Peer[]): void {
    const { id: own } = this.#bus.peer;
    const taken = new Map<number, string>();
    const tabs = tabsById(peers);
    for (const { id, tags } of peers) {
      if (tabs.get(id) !== id) continue;
      const color = Number.parseInt(tags["color"] ?? "", 10);
      if (id === own || !(color >= 0 && color < COLORS)) continue;
      this.#colors.set(id, color);
      taken.set(color, id);
    }
    const mine = this.#colors.get(own);
    if (!own || (mine !== undefined && !((taken.get(mine) ?? own) < own))) return;
    const numbers = Array.from({ length: COLORS }, (_, index) => (colorOf(own) + index) % COLORS);
    const color = numbers.find((number) => !taken.has(number)) ?? colorOf(own);
    if (color === mine) return;
    this.#colors.set(own, color);
    this.#bus.peer.update({ tags: { ...this.#bus.peer.tags, color: String(color) } });
  }

  #tabOf(id: string): string {
    return tabsById(this.#bus.peers.get()).get(id) ?? id;
  }

  #hear(publisher: string, body: Progress): void {
    const tab = this.#tabOf(publisher);
    if (tab === this.#bus.peer.id) return;
    // Who is new here has not heard of us.
    if (!this.#progress.has(tab)) this.#postSoon();
    // The newest last, so that the order tells who was heard of latest.
    this.#progress.delete(tab);
    this.#progress.set(tab, { ...NOTHING, ...body });
    for (const [id] of this.#progress) {
      if (this.#progress.size <= KNOWN_MAX) break;
      this.#progress.delete(id);
      this.#colors.delete(id);
    }
    this.#changed();
  }

  /** A tab that does much tells it a few times a second. */
  #postSoon(): void {
    this.#timer ??= window.setTimeout(() => this.#post(), POST_MS);
  }

  #post(): void {
    window.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#bus.topic<Progress>(TOPIC_PROGRESS).post(this.#own);
  }
}
