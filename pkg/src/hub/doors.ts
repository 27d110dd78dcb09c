import { invalid, unsupported } from "../errors.js";
import type { RawDoors } from "../raw.js";
import type { HubOptions, TokenSource } from "../types.js";

/** The subprotocol of the frames. A hub that is offered it answers with it. */
export const PROTOCOL = "tabmq";
/** What comes before a token, which is base64url, among the subprotocols that are offered. */
export const TOKEN_PREFIX = "tabmq.token.";

/** The option `hub`, checked: its addresses are those of WebSockets, without the bus. */
export interface CheckedHub {
  readonly urls: readonly string[];
  readonly token: TokenSource | undefined;
  /** Filters of what lives there, if that is not all. Checked by src/share, where it is used. */
  readonly share?: unknown;
}

const FIELDS = new Set(["url", "token", "share"]);

type Constructor = new (url: string, protocols: string[]) => WebSocket;

let findConstructor: (() => Promise<Constructor>) | undefined;

/** An entry of the package whose runtime may have no `WebSocket` tells where to find one. */
export function setWebSocket(find: () => Promise<Constructor>): void {
  findConstructor = find;
}

export function checkHub(value: unknown, name: string): CheckedHub {
  const given = typeof value === "string" ? { url: value } : value;
  if (typeof given !== "object" || given === null)
    throw invalid(`${name} must be an address or an object`, name);
  for (const key of Object.keys(given)) {
    if (!FIELDS.has(key)) throw invalid(`there is no ${name}.${key}`, name);
  }
  const { url, token, share } = given as Partial<HubOptions>;
  const urls = (Array.isArray(url) ? url : [url]).map((each) => address(each, `${name}.url`));
  if (!urls.length) throw invalid(`${name}.url must name an address`, name);
  if (token !== undefined && typeof token !== "string" && typeof token !== "function")
    throw invalid(`${name}.token must be a string or a function`, name);
  const all = share === undefined || JSON.stringify(share) === '["#"]';
  return all ? { urls, token } : { urls, token, share };
}

/** The same whether it begins with `ws` or `http`, and never with a query or a slash at its end. */
function address(value: unknown, name: string): string {
  const parsed = typeof value === "string" && URL.canParse(value) ? new URL(value) : undefined;
  const scheme = parsed && /^(ws|http)(s?):$/.exec(parsed.protocol);
  if (!scheme || parsed.username || parsed.password || parsed.search || parsed.hash)
    throw invalid(`${name} must be an address that begins with wss:// or ws://`, name);
  parsed.protocol = `ws${scheme[2]}:`;
  return parsed.href.replace(/\/+$/, "");
}

/** Asks for a token, if there is a source of them. */
export async function askToken({ token }: CheckedHub): Promise<string | undefined> {
  const value = typeof token === "function" ? await token() : token;
  if (value !== undefined && typeof value !== "string")
    throw invalid("the token of a hub must be a string", "hub.token");
  return value;
}

/** What a socket offers as subprotocols. */
export function protocolsWith(token: string | undefined): string[] {
  return token === undefined ? [PROTOCOL] : [PROTOCOL, TOKEN_PREFIX + base64Url(token)];
}

/** What the wasm side needs to dial. Asks for a token if there is a source of them. */
export async function doorsOf(hub: CheckedHub, bus: string): Promise<RawDoors> {
  const { urls } = hub;
  const protocols = protocolsWith(await askToken(hub));
  const doors = { urls: urls.map((url) => `${url}/${encodeURIComponent(bus)}`), protocols };
  if (globalThis.WebSocket) return doors;
  const socket = await findConstructor?.();
  if (!socket) throw unsupported("hub, where there are no WebSockets");
  return { ...doors, socket };
}

/**
 * The same doors, for this realm alone. `tell` hears what became of each socket that is over: the
 * events of sockets say more than their codes.
 */
export function tellingDoors(doors: RawDoors, tell: (why: string) => void): RawDoors {
  const constructor = doors.socket ?? globalThis.WebSocket;
  const dial = function (url: string, protocols: string[]): WebSocket {
    const socket = new constructor(url, protocols);
    let failure = "";
    socket.addEventListener("error", (event) => {
      failure = String((event as Partial<ErrorEvent>).message ?? "");
    });
    socket.addEventListener("close", ({ code, reason }) => {
      tell(`${url}: ${reason || failure || `closed with ${code}`}`);
    });
    return socket;
  };
  return { ...doors, socket: dial as unknown as Constructor };
}

function base64Url(text: string): string {
  const binary = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
