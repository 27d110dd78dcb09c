import { invalid } from "../../errors.js";
import { type CheckedServer, checkServer, HUB_LIMITS } from "../options.js";
import type { HubServerOptions } from "../types.js";
import { VALUE_BYTES_MAX } from "./sql_store.js";
import type { CloudflareHubOptions } from "./types.js";

/**
 * What differs in an object: it has 128 MB with all others of its isolate, and runs once at a time,
 * so that neither a pause nor silence tells anything.
 */
const OF_OBJECTS = {
  resident_bytes_max: 16 << 20,
  repair_bytes_max: 1 << 20,
};
const FIXED = { pause_ms_max: Number.MAX_SAFE_INTEGER };
/** Limits of a hub that mean something for an object. */
const OF_SOCKETS = new Set(["socket_bytes_max", "socket_silence_ms"]);
/** A timer that is longer fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The options of a hub on Cloudflare, checked. */
export interface CheckedCloudflare extends CheckedServer {
  readonly binding: string;
  /** The limits of each object. */
  readonly of_objects: Record<string, number>;
}

export function checkCloudflare(options: CloudflareHubOptions<object>): CheckedCloudflare {
  const { binding, ...rest } = options;
  if (typeof binding !== "string" || !binding)
    throw invalid("createHub: binding must name the binding of hub.Object", "binding");
  if (Object.hasOwn(rest, "storage"))
    throw invalid('createHub: there is no option "storage" here', "storage");
  for (const name of Object.keys(rest.limits ?? {})) {
    const of_servers = Object.hasOwn(HUB_LIMITS, name) && !OF_SOCKETS.has(name);
    if (of_servers || Object.hasOwn(FIXED, name))
      throw invalid(`createHub: there is no limits.${name} here`, `limits.${name}`);
  }
  const checked = checkServer(rest as HubServerOptions<object>);
  const of_objects: Record<string, number> = { ...OF_OBJECTS, ...checked.of_bus, ...FIXED };
  // A frame may be a chunk of the log, which is one value.
  if ((of_objects["link_bytes_max"] ?? 0) > VALUE_BYTES_MAX / 2)
    throw invalid("createHub: limits.link_bytes_max is too high", "limits.link_bytes_max");
  checked.own.socket_silence_ms = Math.min(checked.own.socket_silence_ms, TIMER_MS_MAX);
  return { ...checked, binding, of_objects };
}
