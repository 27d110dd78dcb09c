import type { WebSocket } from "ws";

import { CODES } from "../codes.generated.js";
import { isTabmqError } from "../errors.js";
import { type RawGrant, tellable } from "./authorize.js";
import type { Accepted, Room } from "./rooms.js";
import type { Limited } from "./log.js";
import { CLOSE_CODES, type HubLink, PROBE, PROBE_ANSWER, reasonOf, whyOf } from "./sockets.js";
import type { HubLimits } from "./types.js";
import type { Pausable, Presence, Users } from "./users.js";

/** How long a client has to answer that its socket is closed. */
const CLOSING_MS_MAX = 1000;
const TOO_LONG = "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH";
/** A longer timer fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** What a socket has to do with the hub as a whole. */
export interface Around {
  readonly limits: HubLimits;
  readonly users: Users;
  readonly limited: Limited;
  /** A client on the socket had so many more sends confirmed than are stored. */
  lost(client: string, count: number): void;
}

/** A socket of `ws` and what it has to do with a bus. */
export class HubSocket implements HubLink, Pausable {
  /** Resolves when nothing of it is left, with why: see `HubLogEntry`. */
  readonly ended: Promise<string>;
  /** Why its client could not come in. */
  failure: unknown;
  readonly #socket: WebSocket;
  readonly #limits: HubLimits;
  readonly #around: Around;
  /** Among those of its user, if it has one. */
  #presence: Presence | undefined;
  #paused = false;
  readonly #regrant: (token: string) => Promise<RawGrant | undefined>;
  #accepted: Accepted | undefined;
  /** What came before the bus was open. */
  readonly #early: Uint8Array[] = [];
  #early_bytes = 0;
  #looks: ReturnType<typeof setInterval>;
  /** Something came since the last look; anything at all but a pong came ever. */
  #lives = true;
  #spoke = false;
  #over = false;
  /** Why it ends, if it ends by us. */
  #why: string | undefined;

  constructor(
    socket: WebSocket,
    opening: Promise<Room>,
    granting: Promise<RawGrant | undefined>,
    regrant: (token: string) => Promise<RawGrant | undefined>,
    around: Around,
  ) {
    this.#socket = socket;
    this.#regrant = regrant;
    this.#around = around;
    const { limits } = around;
    this.#limits = limits;
    socket.binaryType = "arraybuffer";
    socket.on("message", (data) => this.#take(data));
    socket.on("pong", () => (this.#lives = true));
    socket.on("error", ({ code = "" }) => {
      if (code.startsWith("WS_ERR_")) this.#why ??= code === TOO_LONG ? "TOO_LARGE" : "PROTOCOL";
    });
    this.ended = new Promise((resolve) => {
      socket.on("close", (code) => {
        this.#over = true;
        clearInterval(this.#looks);
        this.#accepted?.gone();
        this.#presence?.leave();
        resolve(this.#why ?? reasonOf(code));
      });
    });
    const silence_ms = Math.min(limits.socket_silence_ms, TIMER_MS_MAX);
    this.#looks = setInterval(() => this.#look(), silence_ms);
    Promise.all([opening, granting])
      .then(([room, grant]) => this.#enter(room, grant))
      .catch((error: unknown) => this.#fail(error));
  }

  send(bytes: Uint8Array): void {
    const socket = this.#socket;
    socket.send(bytes);
    if (socket.bufferedAmount > this.#limits.socket_bytes_max) this.#tooSlow();
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    // A sign of life may have waited as well.
    this.#lives = true;
    this.#socket.resume();
  }

  close(code: number, reason?: string): void {
    this.#why ??= whyOf(code);
    // Its answer is to be read.
    if (this.#paused) this.resume();
    this.#socket.close(code, reason);
  }

  renew(token: string): void {
    const take = (grant: RawGrant | undefined) => {
      if (grant && !this.#over) this.#accepted?.granted(grant);
    };
    this.#regrant(token).then(take).catch((error: unknown) => this.#fail(error));
  }

  lost(client: string, count: number): void {
    this.#around.lost(client, count);
  }

  /** Closes it, and does not wait for long for the other side. */
  async end(code: number): Promise<void> {
    this.close(code);
    const patience = setTimeout(() => this.#socket.terminate(), CLOSING_MS_MAX);
    await this.ended;
    clearTimeout(patience);
  }

  #enter(room: Room, grant: RawGrant | undefined): void {
    if (this.#over) return;
    if (grant) this.#presence = this.#around.users.enter(grant.user, this);
    this.#accepted = room.accept(this, grant);
    for (const bytes of this.#early.splice(0)) this.#receive(bytes);
  }

  /** The bus can't be opened, or whoever asks may not come in. */
  #fail(error: unknown): void {
    this.failure = error;
    const code = isTabmqError(error) ? error.code : "INTERNAL";
    this.#why ??= code === "NOT_AUTHORIZED" || code === "FULL" ? code : "bus-failed";
    this.close(CLOSE_CODES + CODES[code], tellable(error));
  }

  #take(data: ArrayBuffer | string): void {
    this.#lives = true;
    if (data === PROBE) return this.#socket.send(PROBE_ANSWER);
    this.#spoke = true;
    if (typeof data === "string") return this.close(CLOSE_CODES + CODES.PROTOCOL, "text");
    const bytes = new Uint8Array(data);
    if (this.#accepted) return this.#receive(bytes);
    this.#early_bytes += bytes.length;
    if (this.#early_bytes > this.#limits.socket_bytes_max) return this.#tooSlow();
    this.#early.push(bytes);
  }

  #receive(bytes: Uint8Array): void {
    this.#presence?.took(bytes.length);
    this.#accepted?.received(bytes);
  }

  /** Drops a socket from which nothing comes any more, or on which nobody ever spoke. */
  #look(): void {
    if (this.#paused) return;
    if (!this.#lives || !this.#spoke) return this.#drop("lost");
    this.#lives = false;
    this.#socket.ping();
  }

  #tooSlow(): void {
    if (this.#why === undefined) this.#around.limited("socket_bytes_max");
    this.#drop("too-slow");
  }

  #drop(why: string): void {
    this.#why ??= why;
    this.#socket.terminate();
  }
}
