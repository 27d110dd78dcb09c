import { decode } from "../codec/decode.js";
import { EVENT, type RawBus, type RawEvent } from "../raw.js";
import { Restarts } from "../restarts.js";
import { instance } from "../wasm.js";
import type { FromPage, FromWorker, Opening, Port } from "./messages.js";

/** The buses that this worker hosts, by name and user. */
const hosted = new Map<string, HostedBus>();
/** Those that end. The next one of the name waits, or two would host in one realm. */
const ending = new Map<string, Promise<void>>();

/** Serves the pages of this worker, whichever kind of worker it is. */
export function hostForPages(): void {
  const life = `tabmq:life:${crypto.randomUUID()}`;
  // Held until the worker dies, whatever it dies of: no event tells a page of that.
  const alive = new Promise<string>((resolve) => {
    void navigator.locks.request(life, () => {
      resolve(life);
      return new Promise(() => {});
    });
  });
  const scope = globalThis as unknown as Port & { onconnect?: unknown };
  if (!("onconnect" in scope)) return serve(scope, alive);
  scope.onconnect = ({ ports }: MessageEvent) => serve(ports[0] as Port, alive);
}

function serve(port: Port, alive: Promise<string>): void {
  let bus: HostedBus | undefined;
  port.onmessage = ({ data, ports }: MessageEvent<FromPage>) => {
    switch (data.say) {
      case "join":
        return serve(ports[0] as MessagePort, alive);
      case "open": {
        const { bus: name, user, options } = data.opening;
        const key = JSON.stringify([name, user, options.hub !== undefined]);
        bus = hosted.get(key) ?? new HostedBus(key, data.opening, alive);
        return bus.join(port);
      }
      case "ping":
        // An old order to steal is none, but whoever stood still hears it as one.
        return port.postMessage({ say: "pong" } as FromWorker);
      case "steal":
        return bus?.steal();
      case "offer":
        return bus?.offer(data.protocols);
      case "close":
        bus?.leave(port);
        bus = undefined;
        // A page that left hears no more.
        if (port instanceof MessagePort) port.close();
    }
  };
}

/** A realm that hosts one bus for as long as pages want it to. */
class HostedBus {
  readonly #key: string;
  readonly #opening: Opening;
  readonly #alive: Promise<string>;
  readonly #ports = new Set<Port>();
  #raw: RawBus | undefined;
  readonly #restarts = new Restarts();
  /** What was said last about whether it can host. */
  #state: FromWorker | undefined;
  #closing = false;
  #forget: () => unknown = () => {};
  #resolveEnded!: () => void;
  readonly #ended = new Promise<void>((resolve) => {
    this.#resolveEnded = resolve;
  });

  constructor(key: string, opening: Opening, alive: Promise<string>) {
    this.#key = key;
    this.#opening = opening;
    this.#alive = alive;
    hosted.set(key, this);
    void this.#start();
  }

  join(port: Port): void {
    this.#ports.add(port);
    if (this.#state) port.postMessage(this.#state);
  }

  /** The last page that leaves ends it: what it hosts is handed over first. */
  leave(port: Port): void {
    this.#ports.delete(port);
    if (this.#ports.size) return;
    this.#closing = true;
    if (hosted.get(this.#key) === this) hosted.delete(this.#key);
    ending.set(this.#key, this.#ended);
    if (this.#raw) this.#raw.close(false);
    else this.#end();
  }

  steal(): void {
    this.#raw?.stealLock();
  }

  offer(protocols: readonly string[]): void {
    this.#raw?.offer(protocols);
  }

  async #start(): Promise<void> {
    try {
      const life = await this.#alive;
      await ending.get(this.#key);
      const { bus, user, options, wasm } = this.#opening;
      const { RawBus, trapped } = await instance(wasm);
      if (this.#closing) return this.#end();
      const raw = new RawBus(
        bus,
        { ...options, host: "for-pages", user, peer: new Uint8Array() } as ConstructorParameters<
          typeof RawBus
        >[1],
        (batch) => this.#take(batch),
      );
      const hear = (cause: unknown) => queueMicrotask(() => this.#trapped(cause));
      trapped.add(hear);
      this.#forget = () => trapped.delete(hear);
      this.#raw = raw;
      raw.start();
      this.#waits({ say: "up", life });
    } catch (error) {
      this.#down(error);
    }
  }

  #take(batch: Uint8Array): void {
    const events = decode(batch) as RawEvent[];
    const has = (wanted: number) => events.some(([kind]) => kind === wanted);
    if (has(EVENT.closed)) return queueMicrotask(() => this.#end());
    if (has(EVENT.waitsAgain) && this.#state) this.#waits(this.#state);
    for (const port of this.#ports) port.postMessage({ say: "events", batch } as FromWorker);
  }

  /** It has asked for the lock before pages hear of it: those that ask then come behind it. */
  #waits(up: FromWorker): void {
    setTimeout(() => this.#say(up));
  }

  /** The instance is in no known state: begin anew with a fresh one. */
  #trapped(cause: unknown): void {
    const raw = this.#raw;
    if (!raw) return;
    this.#raw = undefined;
    try {
      raw.kill();
    } catch {
      // It may be too broken for that. Its lock then falls to whoever finds it silent.
    }
    if (this.#closing) return this.#end();
    if (!this.#restarts.count()) return this.#down(cause, true);
    for (const port of this.#ports) {
      port.postMessage({ say: "restart", why: String(cause) } satisfies FromWorker);
    }
    void this.#start();
  }

  #down(why: unknown, ran = false): void {
    if (hosted.get(this.#key) === this) hosted.delete(this.#key);
    this.#say({ say: "down", why: String(why), ran });
    this.#end();
  }

  #say(message: FromWorker): void {
    this.#state = message;
    for (const port of this.#ports) port.postMessage(message);
  }

  #end(): void {
    this.#forget();
    this.#raw?.free();
    this.#raw = undefined;
    this.#resolveEnded();
    if (ending.get(this.#key) === this.#ended) ending.delete(this.#key);
  }
}
