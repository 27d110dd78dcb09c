import { Alarm, type Sleeper } from "./alarms.js";
import type { Context } from "./context.js";
import { borderError, TabmqError } from "./errors.js";
import type { Answer } from "./events.js";
import type { RawBus } from "./raw.js";

/** How much later a message may be posted and still share the deadline of the first. */
const SHARED_MS = 500;

/**
 * Live messages that nobody waits for. They are confirmed like others, but one object stands for
 * all of a topic that were posted within half a second: a promise and a deadline for each would be
 * most of the work.
 */
export class Posts {
  readonly #context: Context;
  /** The latest of each topic, as long as some of it has no answer. */
  readonly #batches = new Map<string, Batch>();

  constructor(context: Context) {
    this.#context = context;
  }

  post(topic: string, body: unknown): void {
    const context = this.#context;
    try {
      context.check();
      const encoded = context.encode(body, "body");
      context.engine.give(encoded, new Post(this.#batchOf(topic), topic));
    } catch (error) {
      context.report(error);
    }
  }

  #batchOf(topic: string): Batch {
    const known = this.#batches.get(topic);
    if (known?.takes) return known;
    const batch: Batch = new Batch(this.#context, topic, () => {
      if (this.#batches.get(topic) === batch) this.#batches.delete(topic);
    });
    this.#batches.set(topic, batch);
    return batch;
  }
}

/** One that is not given to the wasm side yet. */
class Post {
  bytes: Uint8Array | undefined;
  readonly #batch: Batch;
  readonly #topic: string;

  constructor(batch: Batch, topic: string) {
    this.#batch = batch;
    this.#topic = topic;
    batch.left += 1;
  }

  job(raw: RawBus): void {
    if (this.bytes) this.#batch.publish(raw, this.#topic, this.bytes);
  }

  fail(error: unknown): void {
    this.#batch.fail(error);
  }
}

/** Those that share a deadline. */
class Batch implements Answer, Sleeper {
  readonly verb: string;
  /** How many have no answer. */
  left = 0;
  readonly #context: Context;
  readonly #begun = performance.now();
  readonly #timeout_ms: number;
  readonly #alarm: Alarm;
  #over = false;

  readonly #ended: () => void;

  constructor(context: Context, topic: string, ended: () => void) {
    this.#context = context;
    this.#ended = ended;
    this.verb = `publish "${topic}"`;
    this.#timeout_ms = context.engine.limits.verb_timeout_ms;
    this.#alarm = new Alarm(this.#timeout_ms + SHARED_MS, this);
  }

  /** It may have more. */
  get takes(): boolean {
    return performance.now() < this.#begun + SHARED_MS;
  }

  publish(raw: RawBus, topic: string, bytes: Uint8Array): void {
    if (this.#over) return;
    const answers = this.#context.engine.events.answers(false);
    try {
      answers.set(raw.publish(topic, bytes, undefined), this);
    } catch (error) {
      throw borderError(error, this.verb);
    }
  }

  take(): void {
    this.#settle();
  }

  fail(error: unknown): void {
    if (this.#over) return;
    this.#settle();
    this.#context.report(error);
  }

  /** What has no answer by now is given up, and told once. */
  ring(): void {
    const { engine } = this.#context;
    this.#end();
    const answers = engine.events.answers(false);
    let maybeExecuted = false;
    for (const [number, answer] of answers) {
      if (answer !== this) continue;
      answers.delete(number);
      engine.tell((raw) => raw.cancelRequest(number));
      maybeExecuted = true;
    }
    const text = `${this.verb}: ${this.left} have no answer within ${this.#timeout_ms} ms`;
    this.#context.report(new TabmqError("TIMEOUT", text, { maybeExecuted }));
    // They may have held what others wait for.
    engine.flushBacklog();
  }

  #settle(): void {
    this.left -= 1;
    if (this.left) return;
    this.#alarm.cancel();
    this.#end();
  }

  #end(): void {
    this.#over = true;
    this.#ended();
  }
}
