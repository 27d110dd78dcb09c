import type { Context } from "./context.js";
import type { Encoded } from "./engine.js";
import { TabmqError } from "./errors.js";
import { encodeProperties } from "./message.js";
import { type CheckedItem, delayOf } from "./options.js";

/** A message as it crosses the border. */
export type Item = readonly [
  body: Uint8Array,
  properties: Uint8Array | null,
  delayMs: number | null,
  track: boolean,
  past: null,
  ttlMs: number | null,
  priority: number | null,
];

/** One message on its way to the border: interceptors may take time, and so may its body. */
export interface Part {
  readonly item: Item | Promise<Item>;
  readonly track: boolean;
  /** The sender's own id. */
  readonly id: string | undefined;
}

/** `at` begins the path of a refusal. */
export function part(
  context: Context,
  queue: string,
  body: unknown,
  checked: CheckedItem,
  at: string,
): Part {
  const { id, track = false } = checked;
  return { item: itemOf(context, queue, body, checked, track, at), track, id };
}

/** The item of a part. */
export function itemOf(
  context: Context,
  queue: string,
  body: unknown,
  checked: CheckedItem,
  track: boolean,
  at: string,
): Item | Promise<Item> {
  const { body_bytes_max, headers_bytes_max } = context.engine.limits;
  const { headers = {}, id, ttl: ttl_ms = null, priority = null } = checked;
  const delay_ms = delayOf(checked) ?? null;
  const letter = { kind: "send" as const, queue, id, body, headers };
  return context.interceptors.outgoing(letter, (message) => {
    const properties = encodeProperties(checked, message.headers) ?? null;
    const make = (bytes: Uint8Array): Item => {
      checkLength(at, "body", bytes, "body_bytes_max", body_bytes_max);
      if (properties)
        checkLength(at, "headers", properties, "headers_bytes_max", headers_bytes_max);
      return [bytes, properties, delay_ms, track, null, ttl_ms, priority];
    };
    const encoded = context.encode(message.body, `${at}body`);
    return encoded instanceof Promise ? encoded.then(make) : make(encoded);
  });
}

/** Names what is too long. */
function checkLength(
  at: string,
  what: string,
  bytes: Uint8Array,
  reason: string,
  bytes_max: number,
): void {
  if (bytes.length <= bytes_max) return;
  const path = at + what;
  const text = `${path} has ${bytes.length} bytes, more than ${reason} (${bytes_max})`;
  throw new TabmqError("TOO_LARGE", text, { data: { reason, path } });
}

/** Encodes what is made of parts, some of which may still be on their way. */
export function encodeAll<T>(
  parts: readonly (T | Promise<T>)[],
  encode: (parts: readonly T[]) => Uint8Array,
): Encoded {
  if (parts.some((one) => one instanceof Promise)) return Promise.all(parts).then(encode);
  return encode(parts as readonly T[]);
}
