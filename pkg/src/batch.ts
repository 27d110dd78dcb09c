import type { Context } from "./context.js";
import type { Encoded } from "./engine.js";
import { encodeProperties } from "./message.js";
import { type CheckedItem, delayOf } from "./options.js";

/** One message on its way to the border. */
export interface Part {
  readonly body: Encoded;
  readonly properties: Uint8Array | null;
  readonly delay_ms: number | null;
  readonly track: boolean;
  readonly ttl: number | null;
  /** The sender's own id. */
  readonly id: string | undefined;
}

/** `root` begins the path of a refusal. */
export function part(context: Context, body: unknown, checked: CheckedItem, root: string): Part {
  return {
    body: context.encode(body, root),
    properties: encodeProperties(checked) ?? null,
    delay_ms: delayOf(checked) ?? null,
    track: checked.track ?? false,
    ttl: checked.ttl ?? null,
    id: checked.id,
  };
}

/** A part as it crosses the border, once its body is there. */
export const wire = ({ properties, delay_ms, track, ttl }: Part, body: Uint8Array | undefined) => [
  body,
  properties,
  delay_ms,
  track,
  null,
  ttl,
];

/** Encodes what is made of byte strings, some of which may still be on their way. */
export function encodeAll(
  bytes: readonly (Encoded | undefined)[],
  encode: (bytes: readonly (Uint8Array | undefined)[]) => Uint8Array,
): Encoded {
  if (bytes.some((body) => body instanceof Promise)) return Promise.all(bytes).then(encode);
  return encode(bytes as (Uint8Array | undefined)[]);
}
