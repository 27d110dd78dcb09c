import { CODES } from "../codes.generated.js";
import { decode } from "../codec/decode.js";
import { encodeNow } from "../codec/encode.js";
import type { Engine } from "../engine.js";
import { doorsOf } from "../hub/doors.js";
import { EVENT, type RawBus, type RawDoors, type RawEvent, type RawEventOf } from "../raw.js";
import { type Instance, instance } from "../wasm.js";
import type { Failure } from "./entry.js";

/** What a dead client left, and where it is written down. */
export interface Legacy {
  /** In the order in which it was written. Asked for once nobody else can take it up. */
  take(): Promise<(readonly [number: number, send: Uint8Array])[]>;
  /** The send has another number of its lane by now. */
  keep(number: number, send: Uint8Array): Promise<void>;
  /** It is stored, or failed. */
  letGo(number: number, failure: Failure | undefined): Promise<void>;
}

/** Why the wasm side would not take a send up. */
export function failureOf(error: unknown): Failure {
  const { code, reason } = Object(error) as { code?: unknown; reason?: unknown };
  return [typeof code === "number" ? code : CODES.INTERNAL, String(reason ?? ""), false];
}

/**
 * Goes on as another client for as long as its sends take. Whoever holds the lock of the client
 * does: false if it is held, or if this was ended before all was sent.
 */
export async function deliver(
  engine: Engine,
  client: Uint8Array,
  legacy: Legacy,
  signal: AbortSignal,
): Promise<boolean> {
  const wasm = await instance(engine.options.assets?.wasm);
  const { hub } = engine.options;
  const doors = hub && (await doorsOf(hub, engine.name));
  if (signal.aborted) return false;
  const guest = new Guest(wasm, legacy);
  const stop = () => guest.end(false);
  signal.addEventListener("abort", stop);
  guest.begin(engine, client, doors);
  const done = await guest.ended;
  signal.removeEventListener("abort", stop);
  return done;
}

/** A client that is there for what a dead one left. */
class Guest {
  readonly ended: Promise<boolean>;
  readonly #wasm: Instance;
  readonly #legacy: Legacy;
  /** The numbers of what was taken up, by request. */
  readonly #numbers = new Map<number, number>();
  #raw: RawBus | undefined;
  #resolve!: (done: boolean) => void;
  readonly #trap = () => queueMicrotask(() => this.end(false));

  constructor(wasm: Instance, legacy: Legacy) {
    this.#wasm = wasm;
    this.#legacy = legacy;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  begin({ name, options, outbox }: Engine, client: Uint8Array, hub: RawDoors | undefined): void {
    const { durability = "relaxed", limits, user } = options;
    const raw = {
      storage: "auto",
      durability,
      host: "tab",
      user,
      // It is nobody that others could speak to.
      peer: encodeNow({ guest: true }),
      limits,
      guest: client,
      hub,
    } as ConstructorParameters<Instance["RawBus"]>[1];
    try {
      this.#raw = new this.#wasm.RawBus(name, raw, (batch) => this.#take(batch));
      this.#wasm.trapped.add(this.#trap);
      outbox.home.bind(this.#raw);
      this.#raw.start();
    } catch {
      this.end(false);
    }
  }

  end(done: boolean): void {
    const raw = this.#raw;
    this.#raw = undefined;
    this.#wasm.trapped.delete(this.#trap);
    try {
      raw?.kill();
    } catch {
      // A poisoned instance may not be able to. Whoever finds its lock free goes on.
    }
    // Not now: the module may be in the middle of telling us.
    if (raw) queueMicrotask(() => raw.free());
    this.#resolve(done);
  }

  #take(batch: Uint8Array): void {
    for (const event of decode(batch, true) as RawEvent[]) {
      const raw = this.#raw;
      if (raw) this.#route(event, raw).catch(() => this.end(false));
    }
  }

  async #route(event: RawEvent, raw: RawBus): Promise<void> {
    switch (event[0]) {
      case EVENT.claimed:
        return this.#takeUp(raw);
      case EVENT.keep: {
        const [, request, send] = event;
        await this.#legacy.keep(this.#numbers.get(request) as number, send);
        if (this.#raw === raw) raw.kept(request);
        return undefined;
      }
      case EVENT.letGo:
        return this.#letGo(event, raw);
      case EVENT.closed:
        return this.end(!this.#numbers.size);
      // What it is meant for is not at the door, or its user is not the one that is let in.
      case EVENT.foreignLog:
      case EVENT.anotherUser:
      case EVENT.error:
        return this.end(false);
      default:
        return undefined;
    }
  }

  async #takeUp(raw: RawBus): Promise<void> {
    for (const [number, send] of await this.#legacy.take()) {
      if (this.#raw !== raw) return;
      try {
        this.#numbers.set(raw.takeUp(send, false), number);
      } catch (error) {
        await this.#legacy.letGo(number, failureOf(error));
      }
    }
    if (this.#raw !== raw) return;
    if (!this.#numbers.size) return this.end(true);
    raw.keepSends();
    raw.goOn();
  }

  async #letGo(event: RawEventOf<"letGo">, raw: RawBus): Promise<void> {
    const [, request, code, reason, inDoubt] = event,
      number = this.#numbers.get(request);
    if (number === undefined) return;
    await this.#legacy.letGo(number, code ? [code, reason, inDoubt] : undefined);
    this.#numbers.delete(request);
    // The farewell lets the node forget the client.
    if (!this.#numbers.size && this.#raw === raw) raw.close(false);
  }
}
