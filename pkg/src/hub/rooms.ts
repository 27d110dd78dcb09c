import { createBus } from "virtual:main";

import { isTabmqError, TabmqError } from "../errors.js";
import type { Bus, ConnectOptions } from "../types.js";
import type { RawGrant } from "./authorize.js";
import type { Log } from "./log.js";
import type { OpenBus } from "./metrics.js";
import { type HubLink, Sockets } from "./sockets.js";
import { SOCKETS } from "./symbol.js";
import type { HubServerOptions } from "./types.js";

/** What `BusClient` has under `SOCKETS`. */
interface Intake {
  at(socket: number, bytes: Uint8Array): void;
  /** Throws for patterns that are none. */
  granted(socket: number, grant: RawGrant): void;
  gone(socket: number): void;
}

/** What a server does with a socket it has accepted. */
export interface Accepted {
  received(bytes: Uint8Array): void;
  /** Throws if the grant is none. */
  granted(grant: RawGrant): void;
  gone(): void;
}

/** One bus of a hub. */
export class Room {
  readonly bus: Bus;
  readonly ready: Promise<void>;
  /** It works. */
  open = false;
  readonly #sockets: Sockets;
  readonly #intake: Intake;

  constructor(
    hub: number,
    name: string,
    options: ConnectOptions,
    start: HubServerOptions["start"],
  ) {
    this.#sockets = new Sockets(hub);
    const here = { host: "inline", peer: { name: "hub" }, [SOCKETS]: this.#sockets };
    const made = { ...options, ...here } as ConnectOptions;
    this.bus = createBus(name, made);
    this.#intake = (this.bus as unknown as { [SOCKETS]: Intake })[SOCKETS];
    this.ready = this.#start(name, start);
    // Whoever opens the bus hears of it.
    this.ready.catch(() => {});
  }

  get sockets(): number {
    return this.#sockets.count;
  }

  /** Throws if the grant is none. */
  accept(link: HubLink, grant: RawGrant | undefined): Accepted {
    const socket = this.#sockets.add(link);
    const take = (given: RawGrant) => {
      try {
        this.#intake.granted(socket, given);
      } catch (error) {
        throw new TabmqError("INTERNAL", (error as Error).message, { cause: error });
      }
    };
    try {
      if (grant) take(grant);
    } catch (error) {
      this.#sockets.remove(socket);
      throw error;
    }
    return {
      granted: take,
      received: (bytes) => {
        if (this.#sockets.has(socket)) this.#intake.at(socket, bytes);
      },
      gone: () => {
        this.#sockets.remove(socket);
        this.#intake.gone(socket);
      },
    };
  }

  async #start(name: string, start: HubServerOptions["start"]): Promise<void> {
    await this.bus.ready();
    await start?.(this.bus, { name });
    this.open = true;
  }
}

/** Counts the hubs of this process. */
let last_hub = 0;

/** The buses of a hub. Each is opened by the first who asks for it. */
export class Rooms {
  readonly #hub = (last_hub += 1);
  readonly #rooms = new Map<string, Room>();
  readonly #options: ConnectOptions;
  readonly #start: HubServerOptions["start"];
  readonly #buses_max: number;
  readonly #log: Log | undefined;
  #closed: Promise<void> | undefined;

  constructor(
    options: ConnectOptions,
    start: HubServerOptions["start"],
    buses_max: number,
    log: Log | undefined,
  ) {
    this.#options = options;
    this.#start = start;
    this.#buses_max = buses_max;
    this.#log = log;
  }

  /** Those that work. */
  list(): OpenBus[] {
    const open = [...this.#rooms].filter(([, room]) => room.open);
    return open.map(([name, { bus, sockets }]) => ({ name, bus, sockets }));
  }

  /** The bus of this name, as soon as it works. One that could not be opened is tried again. */
  async open(name: string): Promise<Room> {
    if (this.#closed) throw new TabmqError("CLOSED", "the hub is closed");
    let room = this.#rooms.get(name);
    if (!room) {
      if (this.#rooms.size >= this.#buses_max)
        throw new TabmqError("FULL", "the hub has too many buses", {
          data: { reason: "buses_max" },
        });
      room = new Room(this.#hub, name, this.#options, this.#start);
      this.#rooms.set(name, room);
      this.#tell(name, room);
      this.#watch(name, room);
    }
    try {
      await room.ready;
      return room;
    } catch (error) {
      if (this.#rooms.get(name) === room) this.#rooms.delete(name);
      void room.bus.close();
      throw error;
    }
  }

  #tell(name: string, room: Room): void {
    const log = this.#log;
    // Else what nobody listens for goes to the console, and what fails to whoever asked.
    if (!log) return;
    const failed = (error: unknown) => {
      const code = isTabmqError(error) ? error.code : "INTERNAL";
      const message = error instanceof Error ? error.message : String(error);
      log("error", { event: "bus-failed", bus: name, code, message });
    };
    room.bus.addEventListener("error", (event) => failed((event as CustomEvent).detail));
    room.ready.then(() => log("info", { event: "bus-opened", bus: name }), failed);
  }

  /** A bus that ended, because its folder is another's now or its user closed it, makes room. */
  #watch(name: string, room: Room): void {
    room.bus.addEventListener("status", ({ detail }) => {
      if (detail === "closed" && this.#rooms.get(name) === room) this.#rooms.delete(name);
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const rooms = [...this.#rooms.values()];
    this.#rooms.clear();
    await Promise.all(rooms.map(({ bus }) => bus.close()));
  }
}
