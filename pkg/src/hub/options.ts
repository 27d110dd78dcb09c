import { invalid } from "../errors.js";
import type { HubLimits, HubServerOptions } from "./types.js";

export const HUB_LIMITS: HubLimits = {
  buses_max: 1000,
  socket_bytes_max: 16 * 1024 * 1024,
  user_sockets_max: 100,
  user_bytes_per_s: 16 * 1024 * 1024,
  user_messages_per_s: 10_000,
  http_requests_max: 1000,
  drain_ms: 5000,
  socket_silence_ms: 20_000,
};

/**
 * What is read before a pause takes hold, some 64 KiB of a stream, is paid back within
 * `node_silence_ms`: else a client would take the hub for dead, and send all of it again.
 */
const RATES_MIN = { user_bytes_per_s: 65_536, user_messages_per_s: 1000 } as const;

const OPTIONS = new Set([
  "authorize",
  "start",
  "origins",
  "storage",
  "limits",
  "metrics",
  "log",
]);
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** The options of a hub, checked. */
export interface CheckedServer extends HubServerOptions<object> {
  readonly own: HubLimits;
  /** Of each bus. */
  readonly of_bus: Record<string, number>;
}

export function checkServer(options: HubServerOptions<object>): CheckedServer {
  for (const key of Object.keys(options)) {
    if (!OPTIONS.has(key)) throw invalid(`createHub: there is no option "${key}"`, key);
  }
  const { authorize, start, origins, storage, limits = {}, metrics, log } = options;
  if (authorize !== undefined && authorize !== "anonymous" && typeof authorize !== "function")
    throw invalid('createHub: authorize must be "anonymous" or a function', "authorize");
  if (start !== undefined && typeof start !== "function")
    throw invalid("createHub: start must be a function", "start");
  if (log !== undefined && typeof log !== "function")
    throw invalid("createHub: log must be a function", "log");
  if (metrics !== undefined && typeof metrics !== "boolean")
    throw invalid("createHub: metrics must be true or false", "metrics");
  if (storage !== undefined && (typeof storage !== "string" || !storage))
    throw invalid("createHub: storage must be the path of a folder", "storage");
  const texts = (value: unknown) =>
    Array.isArray(value) && value.every((entry) => typeof entry === "string");
  if (origins !== undefined && !texts(origins))
    throw invalid("createHub: origins must be a list of strings", "origins");
  const own = { ...HUB_LIMITS };
  const of_bus: Record<string, number> = {};
  for (const [name, bound] of Object.entries(limits)) {
    if (!Number.isSafeInteger(bound) || bound < 0)
      throw invalid(`createHub: limits.${name} must be a whole number`, `limits.${name}`);
    (Object.hasOwn(own, name) ? (own as unknown as Record<string, number>) : of_bus)[name] = bound;
  }
  for (const [name, least] of Object.entries(RATES_MIN) as [keyof typeof RATES_MIN, number][])
    if (own[name] < least)
      throw invalid(`createHub: limits.${name} must be at least ${least}`, `limits.${name}`);
  return { ...options, own, of_bus };
}

/** Whether a page of this origin may connect. */
export function isOriginAllowed(origin: string | undefined, allowed?: readonly string[]): boolean {
  if (origin === undefined) return true;
  if (allowed) return allowed.includes("*") || allowed.includes(origin);
  return URL.canParse(origin) && isLoopbackName(new URL(origin).hostname);
}

/** Whether a name, as an address has it, can only be that of this machine. */
export function isLoopbackName(hostname: string): boolean {
  return LOOPBACK.test(hostname);
}

/** Whether a connection came in at an address that only this machine has. */
export function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(::1$|127\.|::ffff:127\.)/.test(address);
}
