import { invalid, isTabmqError, TabmqError } from "../errors.js";
import { TOKEN_PREFIX } from "./doors.js";
import type { AuthorizeContext, Grant, HubServerOptions, UpgradeRequest } from "./types.js";

/** What the wasm side takes for a grant. Absent: everything. */
export interface RawGrant {
  readonly user: string;
  readonly expiresAt?: number;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  readonly consume: readonly string[];
  readonly serve: readonly string[];
  readonly call: readonly string[];
  readonly admin: boolean;
}

/** Whoever gives a hub its function knows what its `env` is. */
export type Authorize = HubServerOptions<object>["authorize"];

const LISTS = ["publish", "subscribe", "consume", "serve", "call"] as const;
const FIELDS = new Set<string>(["user", "expires", "admin", ...LISTS]);
/** The first word of what the node alone speaks under: no wildcard stands for it. */
const SYSTEM = "$tabmq";
const BEARER = /^Bearer +([^ ]+) *$/i;

/**
 * Asks the application what may be done. Undefined: everything. Rejects `NOT_AUTHORIZED` if it
 * refuses, whatever it threw, but `UNAVAILABLE` if that is what it threw: it can't tell now. And
 * `INTERNAL` if what it answers is no grant.
 */
export async function granted(
  authorize: Authorize,
  request: Request,
  context: AuthorizeContext<object>,
): Promise<RawGrant | undefined> {
  if (typeof authorize !== "function") return undefined;
  let grant: Grant;
  try {
    grant = await authorize(request, context);
  } catch (cause) {
    if (isTabmqError(cause, "UNAVAILABLE"))
      throw new TabmqError("UNAVAILABLE", "nobody can be authorized now", { cause });
    // Why is the business of the application.
    throw new TabmqError("NOT_AUTHORIZED", "not authorized", { cause });
  }
  try {
    return checkGrant(grant);
  } catch (cause) {
    throw new TabmqError("INTERNAL", `authorize: ${(cause as Error).message}`, { cause });
  }
}

/** An upgrade as the web has it. */
export function asRequest({ url = "/", headers: given }: UpgradeRequest): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(given))
    for (const one of [value ?? []].flat()) headers.append(name, one);
  return new Request(new URL(url, `http://${headers.get("host") ?? "localhost"}`), { headers });
}

/** The token among the subprotocols that were offered, or in the header of a plain request. */
export function tokenOf(protocols: readonly string[], authorization: unknown): string | undefined {
  const offered = protocols.find((protocol) => protocol.startsWith(TOKEN_PREFIX));
  if (offered === undefined) return BEARER.exec(String(authorization ?? ""))?.[1];
  try {
    const base64 = offered.slice(TOKEN_PREFIX.length).replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    // What is no token is none.
    return undefined;
  }
}

/**
 * Whether a list of a grant has a pattern that stands for the name: as `Filter::stands_for` of the
 * core, which never sees plain requests as those of their user.
 */
export function allows(patterns: readonly string[], name: string): boolean {
  const words = name.split(".");
  return patterns.some((pattern) => {
    const wanted = pattern.split(".");
    return (wanted[0] === SYSTEM) === (words[0] === SYSTEM) && fits(wanted, words);
  });
}

/** Takes at most as many steps as the product of both lengths, for names come from outside. */
function fits(wanted: readonly string[], words: readonly string[]): boolean {
  let [want, word, again, swallowed] = [0, 0, -1, 0];
  while (want < wanted.length || word < words.length) {
    if (wanted[want] === "#") {
      [again, swallowed] = [want, word];
      want += 1;
    } else if (word < words.length && (wanted[want] === "*" || wanted[want] === words[word])) {
      want += 1;
      word += 1;
    } else {
      if (again < 0 || swallowed >= words.length) return false;
      swallowed += 1;
      [want, word] = [again + 1, swallowed];
    }
  }
  return true;
}

function checkGrant(grant: Grant): RawGrant {
  if (typeof grant !== "object" || grant === null) throw invalid("it must give a grant");
  for (const key of Object.keys(grant)) {
    if (!FIELDS.has(key)) throw invalid(`a grant has no ${key}`, key);
  }
  const { user, expires, admin = false } = grant;
  if (typeof user !== "string" || !user) throw invalid("a grant must name its user", "user");
  if (typeof admin !== "boolean") throw invalid("admin must be true or false", "admin");
  const lists = LISTS.map((name) => {
    const list = grant[name] ?? [];
    if (!Array.isArray(list) || list.some((pattern) => typeof pattern !== "string"))
      throw invalid(`${name} must be a list of patterns`, name);
    return [name, list] as const;
  });
  if (expires !== undefined && !(expires instanceof Date && expires.getTime() >= 0))
    throw invalid("expires must be a date", "expires");
  const ends = expires && { expiresAt: expires.getTime() };
  return { user, admin, ...ends, ...Object.fromEntries(lists) } as RawGrant;
}

/** Why `authorize` let somebody not in, for the log: the message of what it threw. */
export function refusedBecause(error: unknown): string | undefined {
  if (!isTabmqError(error, "NOT_AUTHORIZED") && !isTabmqError(error, "UNAVAILABLE"))
    return undefined;
  const { cause } = error;
  if (cause === undefined) return undefined;
  return `authorize: ${cause instanceof Error ? cause.message : String(cause)}`;
}

/** How a refusal is told to a socket, whose pages read nothing but a code and a short text. */
export function tellable(error: unknown): string {
  if (isTabmqError(error, "FULL")) return error.message;
  return isTabmqError(error, "NOT_AUTHORIZED") ? "not authorized" : "the hub failed";
}
