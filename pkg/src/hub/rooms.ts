import { createBus } from "virtual:main";

import { isTabmqError, TabmqError } from "../errors.js";
import type { Bus, ConnectOptions } from "../types.js";
import type { RawGrant } from "./authorize.js";
import { type Limited, type Log, logStorage } from "./log.js";
import type { OpenBus } from "./metrics.js";
import { type HubLink, type HubParts, Sockets } from "./sockets.js";
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
    parts?: HubParts,
  ) {
    this.#sockets = new Sockets(hub, parts);
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
  accept(link: HubLink, grant: RawGrant | undefined, number?: number): Accepted {
    const socket = this.#sockets.add(link, number);
    const accepted = this.#accepted(socket);
    try {
      if (grant) accepted.granted(grant);
    } catch (error) {
      this.#sockets.remove(socket);
      throw error;
    }
    return accepted;
  }

  /** An earlier process had the socket. Only before the bus begins, which is right after `new`. */
  adopt(link: HubLink, number: number, grant: RawGrant | undefined): Accepted {
    this.#sockets.adopt(link, number, grant);
    return this.#accepted(number);
  }

  #accepted(socket: number): Accepted {
    return {
      granted: (grant) => {
        try {
          this.#intake.granted(socket, grant);
        } catch (error) {
          throw new TabmqError("INTERNAL", (error as Error).message, { cause: error });
        }
      },
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

/** What the buses of a hub are made with. */
interface Making {
  readonly options: ConnectOptions;
  readonly start: HubServerOptions["start"];
  readonly buses_max: number;
  /** Absent if the hub has none: what fails is told to whoever asked, or to the console. */
  readonly log: Log | undefined;
  readonly limited: Limited;
}

/** The buses of a hub. Each is opened by the first who asks for it. */
export class Rooms {
  readonly #hub = (last_hub += 1);
  readonly #rooms = new Map<string, Room>();
  readonly #making: Making;
  /** Names of those that ended by a failure, or could not be opened, and were not opened since. */
  readonly #failed = new Set<string>();
  #closed: Promise<void> | undefined;

  constructor(making: Making) {
    this.#making = making;
  }

  /** Those that work. */
  list(): OpenBus[] {
    const open = [...this.#rooms].filter(([, room]) => room.open);
    return open.map(([name, { bus, sockets }]) => ({ name, bus, sockets }));
  }

  /** Names of those that failed and are not open again; the last `buses_max` of them. */
  failed(): readonly string[] {
    return [...this.#failed];
  }

  /** The bus of this name, as soon as it works. One that could not be opened is tried again. */
  async open(name: string): Promise<Room> {
    if (this.#closed) throw new TabmqError("CLOSED", "the hub is closed");
    let room = this.#rooms.get(name);
    if (!room) {
      const { options, start, buses_max, limited } = this.#making;
      if (this.#rooms.size >= buses_max) {
        limited("buses_max");
        const data = { reason: "buses_max" };
        throw new TabmqError("FULL", "the hub has too many buses", { data });
      }
      room = new Room(this.#hub, name, options, start);
      this.#rooms.set(name, room);
      this.#tell(name, room);
      this.#watch(name, room);
    }
    try {
      await room.ready;
      this.#failed.delete(name);
      return room;
    } catch (error) {
      this.#fail(name);
      if (this.#rooms.get(name) === room) this.#rooms.delete(name);
      void room.bus.close();
      throw error;
    }
  }

  #tell(name: string, room: Room): void {
    const { log } = this.#making;
    // Else what nobody listens for goes to the console, and what fails to whoever asked.
    if (!log) return;
    const failed = (error: unknown) => {
      const code = isTabmqError(error) ? error.code : "INTERNAL";
      const message = error instanceof Error ? error.message : String(error);
      log("error", { event: "bus-failed", bus: name, code, message });
    };
    room.bus.addEventListener("error", ({ detail }) => failed(detail));
    logStorage(log, name, room.bus);
    room.ready.then(() => log("info", { event: "bus-opened", bus: name }), failed);
  }

  /** A bus that ended, because its folder is another's now or its user closed it, makes room. */
  #watch(name: string, room: Room): void {
    room.bus.addEventListener("status", ({ detail }) => {
      if (detail !== "closed" || this.#rooms.get(name) !== room) return;
      this.#rooms.delete(name);
      if (room.open) void this.#ended(name, room);
    });
  }

  /** It says itself why it is over. */
  async #ended(name: string, { bus }: Room): Promise<void> {
    const why: unknown = await bus.ready().catch((error: unknown) => error);
    const code = isTabmqError(why) ? why.code : "INTERNAL";
    const level = code === "CLOSED" ? "info" : "error";
    if (level === "error" && !this.#rooms.has(name)) this.#fail(name);
    this.#making.log?.(level, { event: "bus-closed", bus: name, code });
  }

  #fail(name: string): void {
    this.#failed.delete(name);
    this.#failed.add(name);
    for (const oldest of this.#failed) {
      if (this.#failed.size <= this.#making.buses_max) break;
      this.#failed.delete(oldest);
    }
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
