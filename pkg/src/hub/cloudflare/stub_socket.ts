import { PROTOCOL } from "../doors.js";
import { type ServerSocket, socketOf } from "./platform.js";

const [OPEN, CLOSED] = [1, 3];
const LOST = 1006;

/**
 * A WebSocket whose other end is an object, by its binding and not by its address. Its constructor
 * is used in place of `WebSocket`, and has as much of it as the client of a hub needs.
 */
export function stubSocket(dial: () => Promise<Response>): new () => WebSocket {
  return class extends EventTarget {
    binaryType = "arraybuffer";
    readonly protocol = PROTOCOL;
    readyState = 0;
    #socket: ServerSocket | undefined;

    constructor() {
      super();
      void this.#open();
    }

    send(message: Uint8Array | string): void {
      this.#socket?.send(message);
    }

    close(code?: number, reason?: string): void {
      if (this.readyState === CLOSED) return;
      this.readyState = CLOSED;
      this.#socket?.close(code, reason);
    }

    async #open(): Promise<void> {
      try {
        const response = await dial();
        const socket = socketOf(response);
        if (!socket) throw new Error(await response.text());
        this.#socket = socket;
        socket.addEventListener("message", (event) => this.#take(event));
        socket.addEventListener("close", (event) => this.#end(event));
        // Newer runtimes hand over blobs otherwise.
        socket.binaryType = "arraybuffer";
        socket.accept();
        if (this.readyState === CLOSED) return socket.close();
        this.readyState = OPEN;
        this.dispatchEvent(new Event("open"));
      } catch (error) {
        this.#end(Object.assign(new Event("close"), { code: LOST, reason: String(error) }));
      }
    }

    #take(event: Event): void {
      const { data } = event as MessageEvent<ArrayBuffer | string>;
      this.dispatchEvent(new MessageEvent("message", { data }));
    }

    #end(event: Event): void {
      const { code = LOST, reason = "" } = event as Partial<CloseEvent>;
      if (this.readyState === CLOSED) return;
      this.readyState = CLOSED;
      this.dispatchEvent(Object.assign(new Event("close"), { code, reason }));
    }
  } as unknown as new () => WebSocket;
}
