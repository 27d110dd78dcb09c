import { CODES } from "../../codes.generated.js";
import { isTabmqError, TabmqError } from "../../errors.js";
import { Session } from "../../files/session.js";
import { LIMITS } from "../../limits.js";
import type { FolderStorage } from "../../storage.js";
import type { RawGrant } from "../authorize.js";
import { tellable } from "../authorize.js";
import { PROTOCOL } from "../doors.js";
import { failure } from "../http_failure.js";
import { storeMessage } from "../http_store.js";
import { type Limited, limitedLog, type Log, logStorage } from "../log.js";
import { metricsOf } from "../metrics.js";
import { Room } from "../rooms.js";
import { CLOSE_CODES, PROBE, PROBE_ANSWER, reasonOf } from "../sockets.js";
import type { HubLimits, HubServerOptions } from "../types.js";
import { AlarmTimer } from "./alarm_timer.js";
import { callOf, type ObjectCall } from "./call.js";
import { type Around, attempt, ObjectSocket } from "./object_socket.js";
import { Patience } from "./patience.js";
import { answerText, type ObjectState, type ServerSocket } from "./platform.js";
import { socketPair, upgraded } from "./platform.js";
import { SqlStore } from "./sql_store.js";

/** The name of the bus, and who its own client is, under these keys. */
const BUS_KEY = "tabmq.bus";
const CLIENT_KEY = "tabmq.client";
/** A bus that could not be opened when an alarm rang is tried again. */
const AGAIN_MS = 60_000;
/** There is one for each object. */
const HUB = 0;

/** What is kept with a socket while the object sleeps. */
interface Attachment {
  /** Absent: everything. */
  readonly grant?: RawGrant;
  readonly number: number;
}

/** What the objects of a hub share. */
export interface ObjectOptions {
  readonly limits: Readonly<Record<string, number>>;
  readonly own: HubLimits;
  readonly log: Log;
  /** Asks anew who has a socket, by another token. */
  regrant(bus: string, token: string): Promise<RawGrant | undefined>;
  start(bus: Parameters<NonNullable<HubServerOptions["start"]>>[0], name: string): unknown;
}

/** The hub of one bus. All fields are gone when it slept, so whatever counts is in its storage. */
export class BusObject {
  readonly #state: ObjectState;
  readonly #options: ObjectOptions;
  readonly #sockets = new Map<ServerSocket, ObjectSocket>();
  readonly #around: Around;
  readonly #limited: Limited;
  readonly #closing = new AbortController();
  #timer!: AlarmTimer;
  #name: string | undefined;
  #room: Room | undefined;
  #last_socket = 0;

  constructor(state: ObjectState, options: ObjectOptions) {
    this.#state = state;
    this.#options = options;
    this.#limited = limitedLog(options.log);
    const { socket_silence_ms, socket_bytes_max } = options.own;
    this.#around = {
      patience: new Patience(socket_silence_ms, (socket) => socket.overdue()),
      socket_bytes_max,
      message_bytes_max: this.#messageBytesMax(),
      renew: (socket, token) => void this.#renew(socket, token),
      lost: ({ number }, client, count) => {
        const bus = this.#name ?? "";
        options.log("error", { event: "sends-lost", bus, socket: number, client, count });
      },
      dropped: (socket) => this.#dropped(socket),
    };
    answerText(state, PROBE, PROBE_ANSWER);
    void state.blockConcurrencyWhile(() => this.#wake());
  }

  async fetch(request: Request): Promise<Response> {
    try {
      const found = callOf(request);
      if (!found) throw new TabmqError("NOT_FOUND", "only its Worker speaks to this object");
      const { call, passed } = found;
      const room = await this.#opened(call.bus);
      if (call.kind === "socket") return this.#connect(room, call);
      if (call.kind === "store")
        return await storeMessage(passed, {
          target: call.target,
          limits: this.#options.limits,
          closing: this.#closing.signal,
          open: async () => room.bus,
        });
      const { bus } = room;
      const open = [{ name: call.bus, bus, sockets: room.sockets }];
      const told = await metricsOf({ buses: open, failed: [], sockets: room.sockets });
      return new Response(told.text);
    } catch (error) {
      if (!isTabmqError(error)) console.error(error);
      return failure(error);
    }
  }

  webSocketMessage(socket: ServerSocket, message: ArrayBuffer | string): void {
    const known = this.#sockets.get(socket);
    if (known) return known.take(message);
    // Its client says it again on another one.
    attempt(() => socket.close(CLOSE_CODES + CODES.UNAVAILABLE));
  }

  /** `code` is what the client gave, or the lack of one. */
  socketEnded(socket: ServerSocket, code: number): void {
    // The runtime leaves the other half to us; it may be closed already.
    attempt(() => socket.close());
    const known = this.#sockets.get(socket);
    if (known) this.#forget(known, known.why ?? reasonOf(code));
  }

  #dropped(socket: ObjectSocket): void {
    // The next instance has no use for it either.
    attempt(() => socket.socket.serializeAttachment(null));
    if (socket.why === "too-slow") this.#limited("socket_bytes_max");
    this.#forget(socket, socket.why ?? "");
  }

  #forget(socket: ObjectSocket, reason: string): void {
    this.#sockets.delete(socket.socket);
    socket.gone();
    const bus = this.#name ?? "";
    const { number } = socket;
    this.#options.log("info", { event: "disconnected", bus, socket: number, reason });
  }

  async alarm(): Promise<void> {
    try {
      if (this.#name !== undefined) await this.#opened(this.#name);
    } catch {
      // It was told to the log.
      return this.#state.storage.setAlarm(Date.now() + AGAIN_MS);
    }
    await this.#timer.ring();
  }

  /** Goes on with what an instance before this one left. */
  async #wake(): Promise<void> {
    const { storage } = this.#state;
    const [name, alarm_at] = [await storage.get(BUS_KEY), await storage.getAlarm()];
    this.#timer = new AlarmTimer(storage, alarm_at ?? undefined, (error) => console.error(error));
    if (typeof name !== "string") return;
    this.#name = name;
    try {
      const unnoticed = await new SqlStore(storage).isNoted();
      await this.#open(name, (room) => {
        for (const socket of this.#state.getWebSockets()) this.#adopt(room, socket, unnoticed);
      });
    } catch (error) {
      this.#sockets.clear();
      for (const socket of this.#state.getWebSockets()) hangUp(socket, error);
    }
  }

  /** The same each time that the object wakes. */
  async #own(): Promise<Uint8Array> {
    const { storage } = this.#state;
    const known = await storage.get(CLIENT_KEY);
    if (known instanceof Uint8Array) return known;
    const made = crypto.getRandomValues(new Uint8Array(16));
    await storage.put(CLIENT_KEY, made);
    return made;
  }

  /** The bus, which may be new, or have failed before. */
  async #opened(name: string): Promise<Room> {
    if (this.#room) return this.#room;
    if (this.#name === undefined) await this.#state.storage.put(BUS_KEY, name);
    this.#name = name;
    const opening = this.#state.blockConcurrencyWhile(() =>
      this.#open(name).catch((error: unknown) => ({ error })),
    );
    const opened = await opening;
    if (opened instanceof Room) return opened;
    throw opened.error;
  }

  /** `adopt` gives the room what an earlier instance had. */
  async #open(name: string, adopt?: (room: Room) => void): Promise<Room> {
    if (this.#room) return this.#room;
    const { log, start, limits } = this.#options;
    const sleeper = await this.#own();
    const parts = { storage: new ObjectFolder(this.#state), timer: this.#timer, sleeper };
    const room = new Room(HUB, name, { limits }, (bus) => start(bus, name) as Promise<void>, parts);
    const failed = (error: unknown) => {
      const code = isTabmqError(error) ? error.code : "INTERNAL";
      const message = error instanceof Error ? error.message : String(error);
      log("error", { event: "bus-failed", bus: name, code, message });
    };
    adopt?.(room);
    room.bus.addEventListener("error", (event) => failed((event as CustomEvent).detail));
    logStorage(log, name, room.bus);
    room.bus.addEventListener("status", ({ detail }) => {
      if (detail === "closed" && this.#room === room) this.#room = undefined;
    });
    try {
      await room.ready;
    } catch (error) {
      failed(error);
      void room.bus.close();
      throw error;
    }
    log("info", { event: "bus-opened", bus: name });
    this.#room = room;
    return room;
  }

  #connect(room: Room, call: ObjectCall & { kind: "socket" }): Response {
    const { near, far } = socketPair();
    const { grant, bus, address } = call;
    const number = (this.#last_socket += 1);
    this.#state.acceptWebSocket(near);
    try {
      const attachment: Attachment = { number, ...(grant && { grant }) };
      near.serializeAttachment(attachment);
      const known = new ObjectSocket(near, number, this.#around);
      known.enter(room, grant);
      this.#sockets.set(near, known);
    } catch (error) {
      hangUp(near, error);
    }
    this.#options.log("info", { event: "connected", bus, socket: number, address });
    return upgraded(far, PROTOCOL);
  }

  #adopt(room: Room, socket: ServerSocket, unnoticed: boolean): void {
    const attachment = socket.deserializeAttachment() as Attachment | null;
    if (!attachment) return attempt(() => socket.close(CLOSE_CODES + CODES.UNAVAILABLE));
    const { grant, number } = attachment;
    this.#last_socket = Math.max(this.#last_socket, number);
    const known = new ObjectSocket(socket, number, this.#around);
    known.adopt(room, grant, unnoticed);
    this.#sockets.set(socket, known);
  }

  async #renew(known: ObjectSocket, token: string): Promise<void> {
    const { socket, number } = known;
    try {
      const grant = await this.#options.regrant(this.#name ?? "", token);
      if (this.#sockets.get(socket) !== known || !grant) return;
      const attachment: Attachment = { number, grant };
      socket.serializeAttachment(attachment);
      known.granted(grant);
    } catch (error) {
      attempt(() => hangUp(socket, error));
    }
  }

  /** One to everyone is not cut. */
  #messageBytesMax(): number {
    const bound = (name: "body_bytes_max" | "headers_bytes_max" | "fragment_bytes_max") =>
      this.#options.limits[name] ?? LIMITS[name];
    return bound("body_bytes_max") + bound("headers_bytes_max") + bound("fragment_bytes_max");
  }
}

/** Ends a socket whose client can't be let in. */
function hangUp(socket: ServerSocket, error: unknown): void {
  const code = isTabmqError(error) ? error.code : "INTERNAL";
  socket.close(CLOSE_CODES + CODES[code], tellable(error));
}

/** The storage of an object, in the place where other hubs have a folder. */
class ObjectFolder implements FolderStorage {
  readonly folder = "the storage of the object";
  cause: unknown;
  readonly #store: SqlStore;
  #closing: Promise<void> | undefined;

  constructor(state: ObjectState) {
    this.#store = new SqlStore(state.storage);
  }

  open(answer: (batch: Uint8Array) => void) {
    const note = (error: unknown) => {
      this.cause = (error as { cause?: unknown }).cause ?? error;
    };
    const before = this.#closing ?? Promise.resolve();
    const session = new Session(this.#store, before, answer, note);
    return {
      perform: (batch: Uint8Array) => session.perform(batch),
      close: () => void (this.#closing = session.close()),
    };
  }

  async idle(): Promise<void> {
    await this.#closing;
  }
}
