import type { Context } from "./context.js";
import { LiveHandle } from "./live.js";
import { EVENT, type HandleEvent, type RawBus, type RawEventOf } from "./raw.js";
import { readCounts } from "./counts.js";
import type { QueueStats } from "./types.js";
import { Source, type Watch } from "./watch.js";

/** Rates are those of so long a time. */
const WINDOW_MS = 2000;
/** After the last change rates are looked at again, until they are zero. */
const LOOK_MS = 500;

const NONE: QueueStats = {
  ...readCounts([]),
  exists: false,
  bytes: 0,
  oldestAt: undefined,
  sentPerSecond: 0,
  ackedPerSecond: 0,
};

interface Sample {
  readonly at: number;
  readonly sent: number;
  readonly acked: number;
}

/** One queue that is watched. */
class QueueWatch extends LiveHandle {
  readonly kind = 5;
  readonly running = 0;
  readonly source = new Source<QueueStats>(NONE);
  readonly #queue: string;
  #samples: Sample[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(context: Context, queue: string) {
    super(context, `stats of queue "${queue}"`, undefined);
    this.#queue = queue;
    context.engine.events.open(this);
  }

  begin(raw: RawBus): number {
    return raw.watchQueue(this.#queue);
  }

  end(raw: RawBus, number: number): void {
    raw.unwatchQueue(number);
  }

  take(event: HandleEvent): void {
    if (event[0] !== EVENT.queueStats) return;
    const [, , at, stats] = event as RawEventOf<"queueStats">;
    this.setReady();
    if (!stats) {
      this.#samples = [];
      return this.#show(NONE, at);
    }
    const [counts, bytes, oldestAt] = stats;
    const { sentTotal: sent, ackedTotal: acked } = readCounts(counts);
    const last = this.#samples.at(-1);
    // Another queue of that name, or another clock, begins anew.
    if (last && (last.sent > sent || last.at > at)) this.#samples = [];
    this.#samples.push({ at, sent, acked });
    const next = {
      ...NONE,
      ...readCounts(counts),
      exists: true,
      bytes,
      oldestAt: oldestAt ? new Date(oldestAt) : undefined,
    };
    this.#show(next, at);
  }

  protected stopped(): void {
    clearTimeout(this.#timer);
  }

  #show(stats: QueueStats, now: number): void {
    clearTimeout(this.#timer);
    const samples = this.#samples;
    while (samples[1] && samples[1].at <= now - WINDOW_MS) samples.shift();
    const [first] = samples;
    const last = samples.at(-1);
    const passed_ms = first ? Math.min(WINDOW_MS, now - first.at) : 0;
    const rate = (count: number) => (passed_ms > 0 ? (count / passed_ms) * 1000 : 0);
    const sentPerSecond = first && last ? rate(last.sent - first.sent) : 0;
    const ackedPerSecond = first && last ? rate(last.acked - first.acked) : 0;
    this.source.set({ ...stats, sentPerSecond, ackedPerSecond });
    if (!sentPerSecond && !ackedPerSecond) return;
    const look = () => this.#show(this.source.get(), now + LOOK_MS);
    this.#timer = setTimeout(look, LOOK_MS);
    (this.#timer as { unref?: () => void }).unref?.();
  }
}

/** The counts of a queue, asked for as long as somebody subscribes. All references share them. */
export function statsOf(context: Context, queue: string): Watch<QueueStats> {
  const { watches } = context;
  return {
    get: () => (watches.get(queue) as Shared | undefined)?.watch.source.get() ?? NONE,
    subscribe(run) {
      let shared = watches.get(queue) as Shared | undefined;
      if (!shared || shared.watch.closed.aborted) {
        shared = { watch: new QueueWatch(context, queue), users: 0 };
        watches.set(queue, shared);
      }
      const { watch } = shared;
      const used = shared;
      used.users += 1;
      const leave = watch.source.watch(() => {}).subscribe(run);
      let left = false;
      return () => {
        if (left) return;
        left = true;
        leave();
        used.users -= 1;
        // Whoever leaves only to come back at once, as hooks do, keeps the snapshot.
        queueMicrotask(() => {
          if (used.users) return;
          if (watches.get(queue) === used) watches.delete(queue);
          watch.close();
        });
      };
    },
  };
}

interface Shared {
  readonly watch: QueueWatch;
  users: number;
}
