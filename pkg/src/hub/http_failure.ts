import { type Code, isTabmqError, TabmqError } from "../errors.js";

/** How each code is told to a client of HTTP. */
const STATUS: { readonly [code in Code]: number } = {
  CLOSED: 503,
  FULL: 429,
  INVALID: 400,
  NOT_FOUND: 404,
  DUPLICATE_DECLARE: 409,
  UNROUTABLE: 422,
  MIXED_HOMES: 400,
  STALE_LEASE: 409,
  EXPIRED: 410,
  DEAD_LETTERED: 409,
  DISCARDED: 409,
  UNSUPPORTED: 501,
  NOT_AUTHORIZED: 403,
  UNENCODABLE: 422,
  TOO_LARGE: 413,
  TIMEOUT: 504,
  CANCELLED: 408,
  UNAVAILABLE: 503,
  PEER_LOST: 502,
  CONTRACT_MISMATCH: 409,
  UPGRADE_REQUIRED: 501,
  STORAGE: 507,
  PROTOCOL: 400,
  INTERNAL: 500,
};

/** After which of them the same request may be sent again, and when at the earliest. */
const AGAIN = new Set([429, 503]);
const AGAIN_S = "1";

/** What fails by the rules of HTTP says so with a status of its own. */
export class HttpError extends TabmqError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, error: TabmqError, headers: Record<string, string> = {}) {
    super(error.code, error.message, { data: error.data });
    this.status = status;
    this.headers = headers;
  }
}

/** Every failure as `{ code, message, data }`. What is no error of ours is not told outside. */
export function failure(error: unknown): Response {
  const known = isTabmqError(error) ? error : new TabmqError("INTERNAL", "the hub failed");
  const { code, message, data } = known;
  const own = known instanceof HttpError ? known : undefined;
  const status = own?.status ?? STATUS[code];
  const response = json(status, { code, message, data }, own?.headers);
  if (AGAIN.has(status)) response.headers.set("retry-after", AGAIN_S);
  return response;
}

export function json(
  status: number,
  value: object,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const text = JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}` : part));
  return new Response(`${text}\n`, {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
  });
}
