import { CODES } from "../codes.generated.js";
import type { RawSockets } from "../raw.js";

/** One socket of a hub, whatever server holds it. */
export interface HubLink {
  /** May drop the connection instead if too much waits to be sent on it. */
  send(bytes: Uint8Array): void;
  /** `code` is that of a WebSocket. */
  close(code: number): void;
  /** Whoever grants is asked anew. */
  renew(token: string): void;
}

/** Private close codes begin here; the number of our own code is added. */
export const CLOSE_CODES = 4000;

/** The sockets of one bus by number. */
export class Sockets implements RawSockets {
  readonly hub: number;
  readonly #links = new Map<number, HubLink>();
  #last = 0;

  constructor(hub: number) {
    this.hub = hub;
  }

  get count(): number {
    return this.#links.size;
  }

  add(link: HubLink): number {
    this.#last += 1;
    this.#links.set(this.#last, link);
    return this.#last;
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

  close(socket: number, code: number): void {
    const link = this.#links.get(socket);
    // Its client may go on to speak until it hears of that.
    this.#links.delete(socket);
    link?.close(CLOSE_CODES + code);
  }
}
