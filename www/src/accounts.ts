import { type Queue, type Wait, isTabmqError } from "tabmq";
import type { Ledger } from "./ledger";
import { ASIDE, JOB_QUEUE, type PlaygroundBus } from "./schema";

/** How the jobs stand, by the broker and by our own record. */
export interface Account {
  /** Sends that were confirmed, by our record. */
  readonly sent: number;
  readonly done: number;
  readonly ready: number;
  readonly delayed: number;
  readonly leased: number;
  readonly dead: number;
  /** Absent as long as jobs are on their way, and before the first one. */
  readonly lost: number | undefined;
  /** Effects per second, over the last two seconds. */
  readonly rate_per_s: number;
  readonly at_ms: number;
}

const PERIOD_MS = 500;
const ANSWER_MS = 2000;
/** Jobs with no trace in so many accounts in a row are lost, not between two readings. */
const SIGHTINGS = 3;
/** Accounts that the rate is taken over. */
const RATE_ACCOUNTS = 5;

/** Draws up an account twice a second, as long as somebody looks. */
export class Accounts {
  readonly #bus: PlaygroundBus;
  readonly #ledger: Ledger;
  readonly #take: (account: Account | Error) => void;
  #recent: { done: number; at_ms: number }[] = [];
  #sightings = 0;

  /** `take` gets an error when nobody answers, as between two hosts. */
  constructor(bus: PlaygroundBus, ledger: Ledger, take: (account: Account | Error) => void) {
    this.#bus = bus;
    this.#ledger = ledger;
    this.#take = take;
  }

  async run(): Promise<never> {
    for (;;) {
      if (!document.hidden) await this.#once();
      await new Promise((resolve) => { setTimeout(resolve, PERIOD_MS); });
    }
  }

  async #once(): Promise<void> {
    try {
      this.#take(await this.#draw());
    } catch (error) {
      this.#take(error instanceof Error ? error : new Error(String(error)));
    }
  }

  async #draw(): Promise<Account> {
    const jobs = this.#bus.queue("jobs", JOB_QUEUE);
    const wait = { timeout: ANSWER_MS };
    const [{ ready, delayed, leased }, dead_count, aside] = await Promise.all([
      jobs.info(wait),
      countAll(jobs.deadLetters, wait),
      countAll(this.#bus.queue(ASIDE), wait),
    ]);
    const { sent, done, discarded } = await this.#ledger.counts();
    const at_ms = performance.now();
    const open = ready + delayed + leased;
    const missing = Math.max(0, sent - done - discarded - dead_count - aside);
    return {
      sent, done, ready, delayed, leased, dead: dead_count, at_ms,
      lost: this.#judge(sent, open, missing),
      rate_per_s: this.#rate(done, at_ms),
    };
  }

  #judge(sent: number, open: number, missing: number): number | undefined {
    this.#sightings = open || !sent ? 0 : this.#sightings + 1;
    if (!this.#sightings) return undefined;
    if (missing && this.#sightings < SIGHTINGS) return undefined;
    return missing;
  }

  #rate(done: number, at_ms: number): number {
    const last = this.#recent.at(-1);
    // Somebody began to count again.
    if (last && done < last.done) this.#recent = [];
    this.#recent = [...this.#recent, { done, at_ms }].slice(-RATE_ACCOUNTS);
    const [first] = this.#recent;
    if (!first || first.at_ms === at_ms) return 0;
    return ((done - first.done) * 1000) / (at_ms - first.at_ms);
  }
}

/** A queue that nobody has declared or used yet holds nothing. */
async function countAll(queue: Queue<unknown, void>, wait: Wait): Promise<number> {
  try {
    const { ready, delayed, leased } = await queue.info(wait);
    return ready + delayed + leased;
  } catch (error) {
    if (isTabmqError(error, "NOT_FOUND")) return 0;
    throw error;
  }
}
