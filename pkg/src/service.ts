import type { Context } from "./context.js";
import { CODES } from "./codes.generated.js";
import { isTabmqError } from "./errors.js";
import { invalid } from "./errors.js";
import { LiveHandle } from "./live.js";
import type { checkServe } from "./options.js";
import { decodeBody, hex } from "./message.js";
import { EVENT, OUTCOME, type RawBus, type RawEventOf, type HandleEvent } from "./raw.js";
import type { CallContext, Service } from "./types.js";

const CONCURRENCY = 16;

export class LiveService extends LiveHandle implements Service {
  readonly kind = 3;
  readonly name: string;
  readonly #implementation: object;
  readonly #options: ReturnType<typeof checkServe>;
  #running = 0;
  #current: CallContext | undefined;

  constructor(
    context: Context,
    name: string,
    implementation: object,
    options: ReturnType<typeof checkServe>,
  ) {
    super(context, `service "${name}"`, options.signal);
    if (Object(implementation) !== implementation)
      throw invalid("serve: the implementation must be an object");
    this.name = name;
    this.#implementation = implementation;
    this.#options = options;
    context.engine.events.open(this);
  }

  get running(): number {
    return this.#running;
  }

  get current(): CallContext | undefined {
    return this.#current;
  }

  begin(raw: RawBus): number {
    return raw.serve(this.name, this.#options.concurrency ?? CONCURRENCY);
  }

  end(raw: RawBus, number: number): void {
    raw.unserve(number);
  }

  take(event: HandleEvent): void {
    if (event[0] === EVENT.serving) return this.setReady();
    if (event[0] !== EVENT.dispatch) return;
    void this.#run(event);
  }

  protected stopped(): void {}

  async #run([
    ,
    dispatch,
    ,
    name,
    ,
    bytes,
    caller,
    trace,
  ]: RawEventOf<"dispatch">): Promise<void> {
    const { engine } = this.context;
    let wanted = true;
    this.#running += 1;
    engine.events.dispatches.set(dispatch, () => {
      wanted = false;
    });
    const reply = (kind: number, body: Uint8Array | undefined, code?: number) => {
      const give = (raw: RawBus) => wanted && raw.reply(dispatch, kind, body, code);
      engine.settle(give, (error) => {
        this.context.report(error);
        // The caller must hear something; this one is always taken.
        const failure = CODES[isTabmqError(error) ? error.code : "INTERNAL"];
        engine.tell((raw) => raw.reply(dispatch, OUTCOME.failed, undefined, failure));
      });
    };
    try {
      const method = methodOf(this.#implementation, name);
      if (!method) return reply(OUTCOME.failed, undefined, CODES.NOT_FOUND);
      const parameters = decodeBody(this.context.codec, bytes);
      // A list is as long as it says; what only has a length would be made into one.
      if (!Array.isArray(parameters)) return reply(OUTCOME.failed, undefined, CODES.PROTOCOL);
      const context = { method: name, sender: hex(caller), traceparent: trace ?? undefined };
      const seen = { kind: "call" as const, service: this.name, ...context, parameters };
      const passed = this.context.interceptors.incoming(seen);
      if (passed) await passed;
      const result = await this.#start(context, () =>
        method.apply(this.#implementation, seen.parameters as unknown[]) as unknown);
      reply(OUTCOME.value, await this.context.encode(result, "result"));
    } catch (error) {
      reply(OUTCOME.threw, await this.#encodeThrown(error));
    } finally {
      engine.events.dispatches.delete(dispatch);
      this.#running -= 1;
      this.handlerDone();
    }
  }

  /** Runs a method as far as it goes at once; one may start another. */
  #start(context: CallContext, run: () => unknown): unknown {
    const outer = this.#current;
    this.#current = context;
    try {
      return run();
    } finally {
      this.#current = outer;
    }
  }

  /** A thrown value that can't travel arrives as its description. */
  async #encodeThrown(error: unknown): Promise<Uint8Array> {
    try {
      return await this.context.encode(error, "error");
    } catch {
      return this.context.encode(new Error(String(error)), "error");
    }
  }
}

/** Methods of the object and its classes, but nothing that every object has. */
function methodOf(implementation: object, name: string): Function | undefined {
  if (name === "constructor" || name.startsWith("$") || name in Object.prototype) return undefined;
  const method: unknown = (implementation as Record<string, unknown>)[name];
  return typeof method === "function" ? method : undefined;
}
