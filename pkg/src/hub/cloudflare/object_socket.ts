import { CODES } from "../../codes.generated.js";
import type { RawGrant } from "../authorize.js";
import type { Accepted, Room } from "../rooms.js";
import { CLOSE_CODES, type HubLink, PROBE, PROBE_ANSWER, whyOf } from "../sockets.js";
import type { Patience } from "./patience.js";
import type { ServerSocket } from "./platform.js";
import { Unread } from "./unread.js";

/** What a socket has to do with its object. */
export interface Around {
  /** Who never spoke, owes an answer, or was told that it is over. */
  readonly patience: Patience<ObjectSocket>;
  /** What may be unread. */
  readonly socket_bytes_max: number;
  /** What one message may have. */
  readonly message_bytes_max: number;
  renew(socket: ObjectSocket, token: string): void;
  /** A client on it had so many more sends confirmed than are stored. */
  lost(socket: ObjectSocket, client: string, count: number): void;
  /** Nothing of it counts any more, whether or not its other side ever closes it. */
  dropped(socket: ObjectSocket): void;
}

/** A socket of an object that is awake. */
export class ObjectSocket implements HubLink {
  readonly number: number;
  readonly socket: ServerSocket;
  /** Why it ends, if it ends by us. */
  why: string | undefined;
  readonly #around: Around;
  readonly #unread = new Unread();
  #accepted: Accepted | undefined;
  #spoke = false;

  constructor(socket: ServerSocket, number: number, around: Around) {
    this.socket = socket;
    this.number = number;
    this.#around = around;
  }

  /** Throws if the grant is none. */
  enter(room: Room, grant: RawGrant | undefined): void {
    this.#accepted = room.accept(this, grant, this.number);
    this.#around.patience.wait(this);
  }

  /** An earlier instance had the socket. */
  adopt(room: Room, grant: RawGrant | undefined, unnoticed: boolean): void {
    this.#accepted = room.adopt(this, this.number, grant);
    this.#spoke = unnoticed;
    // Whoever hears of another node has something to say.
    if (!unnoticed) this.#around.patience.wait(this);
  }

  send(bytes: Uint8Array): void {
    if (this.why !== undefined) return;
    this.#tell(bytes);
    this.#ask(this.#unread.sent(bytes.length));
    if (this.#unread.bytes > this.#around.socket_bytes_max) this.#drop("too-slow");
  }

  close(code: number): void {
    this.why ??= whyOf(code);
    attempt(() => this.socket.close(code));
    this.#around.patience.wait(this);
  }

  renew(token: string): void {
    this.#around.renew(this, token);
  }

  lost(client: string, count: number): void {
    this.#around.lost(this, client, count);
  }

  granted(grant: RawGrant): void {
    this.#accepted?.granted(grant);
  }

  take(message: ArrayBuffer | string): void {
    if (this.why !== undefined) return;
    if (typeof message === "string") return this.#takeText(message);
    if (message.byteLength > this.#around.message_bytes_max) return this.#refuse("TOO_LARGE");
    if (!this.#spoke) {
      this.#spoke = true;
      if (!this.#unread.is_asked) this.#around.patience.forget(this);
    }
    this.#accepted?.received(new Uint8Array(message));
  }

  /** Nobody is behind it. */
  gone(): void {
    this.#around.patience.forget(this);
    this.#accepted?.gone();
  }

  /** It owed a sign of life, or its own end, for too long. */
  overdue(): void {
    if (this.why !== undefined) this.#around.dropped(this);
    else this.#drop(this.#spoke ? "too-slow" : "lost");
  }

  #takeText(text: string): void {
    if (text === PROBE) return this.#tell(PROBE_ANSWER);
    if (!text.startsWith(PROBE_ANSWER)) return this.#refuse("PROTOCOL");
    const question = this.#unread.heard(text);
    if (this.#spoke && !this.#unread.is_asked) this.#around.patience.forget(this);
    this.#ask(question);
  }

  #ask(question: string | undefined): void {
    if (question === undefined) return;
    this.#tell(question);
    this.#around.patience.wait(this);
  }

  /** What is sent on one that broke is lost with it: its end is told by itself. */
  #tell(message: Uint8Array | string): void {
    attempt(() => this.socket.send(message));
  }

  #refuse(code: "PROTOCOL" | "TOO_LARGE"): void {
    this.gone();
    this.close(CLOSE_CODES + CODES[code]);
  }

  /** Its other side may never say that it is closed, so nothing waits for that. */
  #drop(why: "lost" | "too-slow"): void {
    if (this.why !== undefined) return;
    this.why = why;
    attempt(() => this.socket.close(CLOSE_CODES + CODES.UNAVAILABLE, why));
    this.#around.dropped(this);
  }
}

/** Does what the runtime refuses for a socket that is over. */
export function attempt(run: () => void): void {
  try {
    run();
  } catch {
    // It is over, which is told by itself.
  }
}
