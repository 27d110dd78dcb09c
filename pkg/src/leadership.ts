import type { Context } from "./context.js";
import { closed, TabmqError } from "./errors.js";
import { LiveHandle } from "./live.js";
import { EVENT, type HandleEvent, type RawBus } from "./raw.js";
import type { Leadership, Term } from "./types.js";

/** A leader whose work throws stands again after this, doubled each time. */
const STAND_AGAIN_MS = 500;
const STAND_AGAIN_MS_MAX = 30_000;

export class LiveLeadership extends LiveHandle implements Leadership {
  readonly kind = 4;
  readonly role: string;
  readonly #run: (term: Term) => unknown;
  #term: AbortController | undefined;
  #running = 0;
  #failures = 0;
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor(
    context: Context,
    role: string,
    run: (term: Term) => unknown,
    signal: AbortSignal | undefined,
  ) {
    super(context, `leadership "${role}"`, signal);
    this.role = role;
    this.#run = run;
    context.engine.events.open(this);
  }

  get running(): number {
    return this.#running;
  }

  begin(raw: RawBus): number {
    return raw.lead(this.role);
  }

  end(raw: RawBus, number: number): void {
    raw.resign(number);
  }

  take(event: HandleEvent): void {
    if (event[0] === EVENT.leading) return this.#lead(event[2]);
    // The wasm side stands on.
    this.interrupt(
      new TabmqError("STALE_LEASE", `leadership "${this.role}": another client leads`),
    );
  }

  override interrupt(error: TabmqError): void {
    this.#term?.abort(error);
    this.#term = undefined;
  }

  protected stopped(error: TabmqError): void {
    clearTimeout(this.#again);
    this.interrupt(error);
  }

  #lead(epoch: number): void {
    const term = new AbortController();
    this.#term = term;
    this.setReady();
    this.#running += 1;
    void this.#work(term, epoch);
  }

  async #work(term: AbortController, epoch: number): Promise<void> {
    try {
      await this.#run({ epoch, signal: term.signal });
      this.#failures = 0;
    } catch (error) {
      // What its own end made it throw is no failure.
      if (!term.signal.aborted) this.#fail(error);
    } finally {
      this.#running -= 1;
      this.handlerDone();
    }
  }

  #fail(error: unknown): void {
    this.context.report(error);
    this.interrupt(closed(`leadership "${this.role}"`));
    this.#standAgain(Math.min(STAND_AGAIN_MS * 2 ** this.#failures, STAND_AGAIN_MS_MAX));
    this.#failures += 1;
  }

  /** Resigns, so that another may lead, and stands anew. */
  #standAgain(wait_ms: number): void {
    const { events } = this.context.engine;
    events.shut(this);
    this.number = undefined;
    this.#again = setTimeout(() => events.open(this), wait_ms);
  }
}
