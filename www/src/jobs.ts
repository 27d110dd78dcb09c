import { type Consumer, type Delivery, Retry } from "tabmq";
import { errorText, plural } from "./format";
import type { Ledger } from "./ledger";
import type { Log } from "./log";
import type { Roster } from "./roster";
import { JOB_QUEUE, type PlaygroundBus } from "./schema";
import { Work } from "./work";

export interface JobSettings {
  readonly on: boolean;
  readonly concurrency: number;
  readonly work_ms: number;
  readonly fail_percent: number;
}

const TELL_MS = 1000;

/** Processes the queue in this tab. */
export class Jobs {
  readonly #bus: PlaygroundBus;
  readonly #ledger: Ledger;
  readonly #log: Log;
  readonly #roster: Roster;
  readonly #work = new Work();
  #consumer: Consumer | undefined;
  #settings: JobSettings = { on: false, concurrency: 0, work_ms: 0, fail_percent: 0 };
  #busy = 0;
  #done = 0;
  #repeats = 0;
  #untold = 0;
  #telling = false;

  constructor(bus: PlaygroundBus, ledger: Ledger, log: Log, roster: Roster) {
    this.#bus = bus;
    this.#ledger = ledger;
    this.#log = log;
    this.#roster = roster;
  }

  apply(settings: JobSettings): void {
    const { on, concurrency } = this.#settings;
    this.#settings = settings;
    this.#roster.setOwn({ slots: settings.on ? settings.concurrency : 0 });
    if (on === settings.on && concurrency === settings.concurrency) return;
    // What it has begun it finishes, beside the consumer that comes after it.
    const before = this.#consumer;
    // That it ends on purpose is no news.
    this.#consumer = undefined;
    before?.close();
    this.#consumer = settings.on ? this.#consume(settings.concurrency) : undefined;
  }

  /** Effects recorded before this page was loaded count too. */
  startFrom(done: number): void {
    this.#done = done;
    this.#repeats = 0;
    this.#tell();
  }

  #consume(concurrency: number): Consumer {
    const queue = this.#bus.queue("jobs", JOB_QUEUE);
    const consumer = queue.process({ concurrency }, (job) => this.#handle(job));
    consumer.closed.addEventListener("abort", () => {
      if (this.#consumer !== consumer) return;
      this.#log.add("error", `processing ended: ${errorText(consumer.closed.reason)}`);
    });
    return consumer;
  }

  async #handle(job: Delivery<unknown>): Promise<void> {
    this.#busy += 1;
    this.#tell();
    try {
      await this.#work.do(this.#settings.work_ms, job.signal);
      if (Math.random() * 100 < this.#settings.fail_percent) this.#fail(job);
      const first = await this.#ledger.addDone(job.id, this.#bus.peer.id);
      if (first) this.#done += 1;
      else this.#repeats += 1;
      if (!first) this.#log.add("job", `${job.id} came again, its effect was there already`);
      this.#untold += 1;
    } finally {
      this.#busy -= 1;
      this.#tell();
    }
  }

  /** The broker counts the attempts; after the last one the job is a dead letter. */
  #fail(job: Delivery<unknown>): never {
    const { maxDeliver } = JOB_QUEUE;
    const reason = `attempt ${job.attempt} of ${maxDeliver} failed`;
    const next = job.attempt < maxDeliver ? "it comes again later" : "it becomes a dead letter";
    this.#log.add("job", `${job.id}: ${reason}, ${next}`);
    throw new Retry({ reason });
  }

  #tell(): void {
    this.#roster.setOwn({ busy: this.#busy, done: this.#done, repeats: this.#repeats });
    if (this.#telling) return;
    this.#telling = true;
    setTimeout(() => {
      this.#telling = false;
      if (!this.#untold) return;
      this.#log.add("job", `${plural(this.#untold, "job")} done in this tab`);
      this.#untold = 0;
    }, TELL_MS);
  }
}
