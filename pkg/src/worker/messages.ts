// What a page and its worker say to each other, beside the channels of the bus.
import type { RawOptions } from "../raw.js";

/** What a worker needs to host a bus. That of the first page counts. */
export interface Opening {
  readonly bus: string;
  readonly user: string | undefined;
  readonly options: Pick<RawOptions, "storage" | "durability" | "limits" | "hub">;
  /** Where the wasm module is; what can't be sent is left out. */
  readonly wasm: string | BufferSource | WebAssembly.Module | undefined;
}

export type FromPage =
  /** To a shared worker: one more bus of this page, and the port it speaks through. */
  | { readonly say: "join" }
  | { readonly say: "open"; readonly opening: Opening }
  /** Nobody else answers. Whoever stood still must not take up an old order to steal. */
  | { readonly say: "ping" }
  /** What the next socket to the hub offers. */
  | { readonly say: "offer"; readonly protocols: readonly string[] }
  /** Take the lock by force. */
  | { readonly say: "steal" }
  | { readonly say: "close" };

export type FromWorker =
  /** It waits for the lock of the node, or has it. `life` is a lock it holds until it dies. */
  | { readonly say: "up"; readonly life: string }
  | { readonly say: "pong" }
  /** It can't host. `ran`: it could, until its core failed too often. */
  | { readonly say: "down"; readonly why: string; readonly ran: boolean }
  /** A defect stopped its core, and it begins anew. */
  | { readonly say: "restart"; readonly why: string }
  /** Events of the realm that hosts. */
  | { readonly say: "events"; readonly batch: Uint8Array };

/** What a bus speaks through: a port, or the dedicated worker itself. */
export interface Port {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
}
