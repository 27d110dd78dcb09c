import type { Context } from "./context.js";
import type { Engine } from "./engine.js";
import { invalid, TabmqError } from "./errors.js";
import { SOCKETS } from "./hub/symbol.js";
import type { Home, Host, Keeping } from "./types.js";

/** Where what is confirmed lies. */
export const whereOf = ({ kind }: Host) => (kind === "hub" ? "hub" : "device") as Home;

/** Where what this client speaks to lives, whoever hosts it now. */
export const homeOf = ({ options }: Engine): Home =>
  options.hub || options[SOCKETS] ? "hub" : "device";

/** To wait for the hub means nothing where there is none. */
export function requireHub({ engine }: Context, verb: string, confirm: string | undefined): void {
  if (confirm === "hub" && homeOf(engine) === "device")
    throw invalid(`${verb} option "confirm": what lives on this device has no hub`, "confirm");
}

/** What a host says of how safe its storage is. */
export const keepingOf = ({
  durability,
  persisted,
  evictable,
  fenced,
  partitioned,
  private: is_private,
}: Host): Keeping => ({
  durability,
  persisted,
  evictable,
  fenced,
  partitioned,
  private: is_private,
});

/** Asks the browser to keep what this origin stores. Only a page may. */
export async function askToKeep(): Promise<boolean> {
  const storage = globalThis.navigator?.storage as Partial<StorageManager> | undefined;
  if (typeof document === "undefined" || !storage?.persist) {
    const text = "bus.persist: only a page can ask, in a browser that keeps storage";
    throw new TabmqError("UNSUPPORTED", text, { data: { name: "bus.persist" } });
  }
  return storage.persist();
}

/**
 * Whether this page has its storage for itself below the site that embeds it. No engine tells it of
 * a frame of another origin; but a page at the top, or below pages of its own origin alone, has the
 * storage of its origin, and one that was embedded without credentials never has.
 */
export function isPartitioned(): boolean | undefined {
  if (typeof document === "undefined") return undefined;
  if ((globalThis as { credentialless?: boolean }).credentialless) return true;
  try {
    for (let frame: Window = window; frame !== frame.parent; frame = frame.parent)
      if (frame.parent.location.origin !== location.origin) return undefined;
    return false;
  } catch {
    // Nothing may be read of a page of another origin.
    return undefined;
  }
}
