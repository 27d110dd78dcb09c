import { CODES } from "../codes.generated.js";
import { codeOf } from "../errors.js";
import { hex } from "../message.js";
import type { RawBus, RawSockets, RawTimer } from "../raw.js";
import type { FolderStorage } from "../storage.js";
import type { RawGrant } from "./authorize.js";

/** One socket of a hub, whatever server holds it. */
export interface HubLink {
  /** May drop the connection instead if too much waits to be sent on it. */
  send(bytes: Uint8Array): void;
  /** `code` is that of a WebSocket. */
  close(code: number): void;
  /** Whoever grants is asked anew. */
  renew(token: string): void;
  /** A client on it had so many more sends confirmed than are stored. */
  lost(client: string, count: number): void;
}

/** What a server brings along for a bus, in place of what its runtime has. */
export interface HubParts {
  readonly storage: FolderStorage;
  readonly timer: RawTimer;
  /** The process falls asleep with its sockets open; its own client is this one each time. */
  readonly sleeper: Uint8Array;
}

/**
 * What is asked and answered to learn whether a socket leads anywhere. What follows the question
 * follows the answer.
 */
export const PROBE = "ping";
export const PROBE_ANSWER = "pong";

/** Private close codes begin here; the number of our own code is added. */
export const CLOSE_CODES = 4000;

/** What a close code says that the other side gave, or the lack of one. */
const REASONS: { readonly [code: number]: string } = {
  1000: "left",
  1001: "left",
  1005: "left",
  1006: "lost",
};

/** Why a socket ended that the other side closed, as the log tells it. */
export const reasonOf = (code: number): string => REASONS[code] ?? "PROTOCOL";

/** Why it ends if we close it with this code. */
export function whyOf(code: number): string {
  const told = code >= CLOSE_CODES ? codeOf(code - CLOSE_CODES) : "hub-closing";
  // A client that says farewell is hung up with the code of it.
  return told === "CLOSED" ? "left" : told;
}

/** The sockets of one bus by number. */
export class Sockets implements RawSockets {
  readonly hub: number;
  readonly #links = new Map<number, HubLink>();
  #last = 0;
  readonly #adopted: [socket: number, grant: RawGrant | undefined][] = [];
  readonly parts: HubParts | undefined;

  constructor(hub: number, parts?: HubParts) {
    this.hub = hub;
    this.parts = parts;
  }

  get count(): number {
    return this.#links.size;
  }

  /** `number` is one that was not used before. */
  add(link: HubLink, number = this.#last + 1): number {
    this.#last = Math.max(this.#last, number);
    this.#links.set(number, link);
    return number;
  }

  /** An earlier process of the hub had it, and called it so. Only before the bus begins. */
  adopt(link: HubLink, number: number, grant: RawGrant | undefined): void {
    this.#adopted.push([this.add(link, number), grant]);
  }

  begin(raw: RawBus): void {
    for (const [socket, grant] of this.#adopted.splice(0)) {
      if (grant) raw.socketGranted(socket, grant);
      raw.socketAdopted(socket);
    }
  }

  /** Whether what comes on it still counts. */
  has(socket: number): boolean {
    return this.#links.has(socket);
  }

  remove(socket: number): void {
    this.#links.delete(socket);
  }

  closeAll(): void {
    const links = [...this.#links.values()];
    this.#links.clear();
    for (const link of links) link.close(CLOSE_CODES + CODES.UNAVAILABLE);
  }

  send(sockets: Uint32Array, bytes: Uint8Array): void {
    for (const socket of sockets) this.#links.get(socket)?.send(bytes);
  }

  renew(socket: number, token: string): void {
    this.#links.get(socket)?.renew(token);
  }

  lost(socket: number, client: Uint8Array, count: number): void {
    this.#links.get(socket)?.lost(hex(client), count);
  }

  close(socket: number, code: number): void {
    const link = this.#links.get(socket);
    // Its client may go on to speak until it hears of that.
    this.#links.delete(socket);
    link?.close(CLOSE_CODES + code);
  }
}
