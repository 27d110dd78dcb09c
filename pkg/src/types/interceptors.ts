import type { MessageHeaders } from "./common.js";

interface Letter {
  body: unknown;
  headers: Record<string, MessageHeaders[string]>;
}

/** What is about to leave this tab. Change `body`, `headers` or `parameters`, or replace them. */
export type Outgoing =
  | (Letter & { readonly kind: "publish"; readonly topic: string })
  | (Letter & { readonly kind: "send"; readonly queue: string; readonly id: string | undefined })
  | {
      readonly kind: "call";
      readonly service: string;
      readonly method: string;
      parameters: readonly unknown[];
      /** May be set, too. */
      traceparent: string | undefined;
    };

/** What came to this tab, before its handler sees it. `sender` is the peer that the node names. */
export type Incoming =
  | (Letter & {
      readonly kind: "message";
      readonly topic: string;
      readonly id: string;
      readonly sender: string | undefined;
    })
  | (Letter & {
      readonly kind: "delivery";
      readonly queue: string;
      readonly id: string;
      readonly sender: string | undefined;
      readonly attempt: number;
    })
  | {
      readonly kind: "call";
      readonly service: string;
      readonly method: string;
      parameters: readonly unknown[];
      readonly sender: string;
      readonly traceparent: string | undefined;
    };

/**
 * Sees what one `Bus` sends and gets. It runs in this tab and binds no other. What it throws
 * refuses: nothing is sent then, a delivery fails as if its handler had thrown, a call fails at its
 * caller, and a live message is dropped and raises the `error` event. A `TabmqError` arrives as it
 * is, any other error as `INVALID` with it as the cause.
 */
export interface Interceptor {
  /** For errors. */
  readonly name?: string;
  /** Those that were registered first see it first. */
  outgoing?(message: Outgoing): void | Promise<void>;
  /** Those that were registered last see it first. */
  incoming?(message: Incoming): void | Promise<void>;
}
