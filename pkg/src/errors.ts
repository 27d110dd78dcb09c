import type { Duration } from "./duration.js";
import { CODES, type Code } from "./codes.generated.js";

export type { Code };

/** What an error says beside its code. Which keys there are depends on the code. */
export interface ErrorData {
  /** A short fixed word, such as `quota`. */
  readonly reason?: string;
  /** `UNENCODABLE`: the part that can't travel, such as `body.items[3].el`. */
  readonly path?: string;
  /** `UNSUPPORTED` and `INVALID`: the option or verb. */
  readonly name?: string;
  /** `FULL` for `maxPerKey`: a key for which there is no room. */
  readonly key?: string;
  readonly [key: string]: unknown;
}

interface Details {
  maybeExecuted?: boolean;
  data?: ErrorData;
  cause?: unknown;
}

const BRAND = Symbol.for("tabmq.error");
const RETRYABLE = new Set<Code>([
  "FULL",
  "TIMEOUT",
  "UNAVAILABLE",
  "PEER_LOST",
  "STORAGE",
  "INTERNAL",
]);
const NAMES: { readonly [code in Code]?: string } = {
  CANCELLED: "AbortError",
  TIMEOUT: "TimeoutError",
};
const CODE_OF_NUMBER = new Map(
  Object.entries(CODES).map(([code, number]) => [number, code as Code]),
);

/** Everything that tabmq itself refuses or fails with. */
export class TabmqError<C extends Code = Code> extends Error {
  readonly code: C;
  /** The same verb may succeed if it is tried again later. */
  readonly retryable: boolean;
  /** The operation may have happened all the same. */
  readonly maybeExecuted: boolean;
  readonly data: ErrorData;

  constructor(code: C, message: string, details: Details = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.name = NAMES[code] ?? "TabmqError";
    this.code = code;
    this.retryable = RETRYABLE.has(code);
    this.maybeExecuted = details.maybeExecuted ?? false;
    this.data = details.data ?? {};
  }

  get [BRAND](): true {
    return true;
  }
}

/** What a service threw, as its caller sees it. */
export class RemoteError extends Error {
  /** The `code` of the thrown error, if it had one. */
  readonly code: unknown;
  /** The other own properties of the thrown error, or the thrown value if it was no error. */
  readonly data: unknown;

  constructor(thrown: unknown) {
    const error = thrown instanceof Error ? thrown : undefined;
    super(
      error ? error.message : String(thrown),
      error && "cause" in error ? { cause: error.cause } : undefined,
    );
    this.name = error?.name ?? "RemoteError";
    const { code, ...data } = { ...error } as { code?: unknown };
    this.code = code;
    this.data = error ? data : thrown;
    if (error?.stack) this.stack = `${this.stack}\n    ---- at the service ----\n${error.stack}`;
  }
}

/** Thrown by a handler: deliver the message again, after `after` or the queue's backoff. */
export class Retry extends Error {
  readonly after: Duration | undefined;

  constructor(options: { after?: Duration; reason?: string } = {}) {
    super(options.reason ?? "");
    this.name = "Retry";
    this.after = options.after;
  }
}

/** Thrown by a handler: no further attempt; the message goes to the dead-letter queue. */
export class Reject extends Error {
  constructor(reason = "") {
    super(reason);
    this.name = "Reject";
  }
}

/** True for an error of tabmq, of any copy of the package; with `code`, only of that code. */
export function isTabmqError<C extends Code = Code>(
  error: unknown,
  code?: C,
): error is TabmqError<C> {
  return (
    typeof error === "object"
    && error !== null
    && BRAND in error
    && (code === undefined || (error as TabmqError).code === code)
  );
}

export function codeOf(number: unknown): Code {
  return CODE_OF_NUMBER.get(number as never) ?? "INTERNAL";
}

export function invalid(message: string, name?: string): TabmqError<"INVALID"> {
  return new TabmqError("INVALID", message, { data: name ? { name } : {} });
}

export function unsupported(name: string): TabmqError<"UNSUPPORTED"> {
  return new TabmqError("UNSUPPORTED", `this version does not support ${name}`, { data: { name } });
}

export function unencodable(
  path: string,
  what: string,
  cause?: unknown,
): TabmqError<"UNENCODABLE"> {
  return new TabmqError("UNENCODABLE", `${path} can't travel: ${what}`, {
    data: { path, reason: what },
    cause,
  });
}

export function closed(what: string): TabmqError<"CLOSED"> {
  return new TabmqError("CLOSED", `${what} is closed`);
}

/** A failure that came over the border as a code and a reason. */
export function failed(
  what: string,
  code: unknown,
  reason: unknown,
  maybeExecuted = false,
): TabmqError {
  const text = codeOf(code);
  return new TabmqError(text, `${what}: ${text}${reason ? ` (${String(reason)})` : ""}`, {
    maybeExecuted,
    data: reason ? detailsOf(text, String(reason)) : {},
  });
}

/** What the wasm side throws, as one of our errors. */
export function borderError(error: unknown, what: string): TabmqError {
  if (isTabmqError(error)) return error;
  const { code, reason } = Object(error) as { code?: unknown; reason?: unknown };
  if (typeof code === "number") return failed(what, code, reason);
  return new TabmqError("INTERNAL", "the wasm module failed", {
    cause: error,
    maybeExecuted: true,
  });
}

/** A queue that bounds what it keeps of each key names the one for which there is no room. */
const PER_KEY = "messages_per_key_max:";

function detailsOf(code: Code, reason: string): ErrorData {
  if (code !== "FULL" || !reason.startsWith(PER_KEY)) return { reason };
  return { reason: PER_KEY.slice(0, -1), key: reason.slice(PER_KEY.length) };
}
