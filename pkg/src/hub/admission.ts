import type { CheckedServer } from "./options.js";
import { isLoopback, isLoopbackName, isOriginAllowed } from "./options.js";

/** What is known of whoever asks to come in. */
export interface Visitor {
  /** Of the page that asks; programs name none. */
  readonly origin: string | undefined;
  /** The address at which it came in, if the server told. */
  readonly localAddress: string | undefined;
  /** The name by which it calls this machine, where that counts. */
  readonly hostname?: string;
}

/** Why somebody may not come in. */
export interface Refusal {
  readonly reason: "origin" | "address" | "host";
  readonly why: string;
}

/** The rule for sockets and requests alike. */
export function refusalOf(
  { origin, localAddress, hostname }: Visitor,
  { authorize, origins }: Pick<CheckedServer, "authorize" | "origins">,
): Refusal | undefined {
  if (!isOriginAllowed(origin, origins)) {
    const why = "this origin is not among the option origins of the hub";
    return { reason: "origin", why };
  }
  if (authorize) return undefined;
  if (!isLoopback(localAddress)) {
    const why = "a hub without authorize answers on this machine alone";
    return { reason: "address", why };
  }
  // A page of another site may have a name that leads here, and then names no origin when it reads.
  if (hostname !== undefined && !isLoopbackName(hostname)) {
    const why = "a hub without authorize is called by the name of this machine: localhost";
    return { reason: "host", why };
  }
  return undefined;
}
