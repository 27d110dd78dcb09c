import { decode } from "./codec/decode.js";
import { encodeNow } from "./codec/encode.js";
import { readDeaths } from "./deaths.js";
import { TabmqError } from "./errors.js";
import type { CheckedMessage } from "./options.js";
import type { RawQueueMessage } from "./raw.js";
import type { Codec, MessageHeaders, Message, QueuedMessage } from "./types.js";

/** Headers and the like as they travel, or nothing if there are none. */
export function encodeProperties(
  options: CheckedMessage,
  headers: MessageHeaders,
): Uint8Array | undefined {
  const { id, key, replyTo, correlationId, traceparent } = options;
  const some = isEmpty(headers) ? undefined : encodeNow(headers);
  if ((id ?? some ?? key ?? replyTo ?? correlationId ?? traceparent) === undefined)
    return undefined;
  const fields = [id, some, key, replyTo, correlationId, traceparent];
  return encodeNow(fields.map((field) => field ?? null));
}

function isEmpty(headers: MessageHeaders): boolean {
  for (const name in headers) if (Object.hasOwn(headers, name)) return false;
  return true;
}

type Fields = [
  id: string | null,
  headers: Uint8Array | null,
  key: string | null,
  replyTo: string | null,
  correlationId: string | null,
  traceparent: string | null,
];

/** What all messages have, from the bytes that came. */
export function message<Body>(
  codec: Codec,
  topic: string,
  id: string,
  /** Null if it did not come. */
  body: Uint8Array | null,
  properties: Uint8Array | null,
  sender: string | undefined,
): Message<Body> {
  const fields = readFields(properties);
  return {
    topic,
    body: (body ? decodeBody(codec, body) : undefined) as Body,
    id: fields[0] ?? id,
    headers: readHeaders(fields[1]),
    key: fields[2] ?? undefined,
    replyTo: fields[3] ?? undefined,
    correlationId: fields[4] ?? undefined,
    traceparent: fields[5] ?? undefined,
    sender,
  };
}

/** The key of a message, before all of it is decoded. */
export function messageKeyOf(properties: Uint8Array | null): string | undefined {
  return readFields(properties)[2] ?? undefined;
}

/** Whoever sent them may have sent anything. */
function readFields(properties: Uint8Array | null): Partial<Fields> {
  if (!properties) return [];
  const fields = decodePart(properties, "properties");
  const isText = (field: unknown) => field === null || typeof field === "string";
  const are = (list: unknown[]) => list.every((field, index) => index === 1 || isText(field));
  if (!Array.isArray(fields) || !are(fields)) throw unreadable("properties");
  return fields as Fields;
}

function readHeaders(bytes: unknown): MessageHeaders {
  if (bytes === null || bytes === undefined) return {};
  if (!(bytes instanceof Uint8Array)) throw unreadable("headers");
  const headers = decodePart(bytes, "headers");
  const isObject = typeof headers === "object" && headers !== null;
  if (!isObject || Object.getPrototypeOf(headers) !== Object.prototype) throw unreadable("headers");
  return headers as MessageHeaders;
}

function decodePart(bytes: Uint8Array, what: string): unknown {
  try {
    return decode(bytes);
  } catch (cause) {
    throw unreadable(what, cause);
  }
}

function unreadable(what: string, cause?: unknown): TabmqError {
  return new TabmqError("PROTOCOL", `the ${what} can't be decoded`, {
    cause,
    data: { reason: what },
  });
}

const STATES = ["ready", "delayed", "leased"] as const;

/** A message that was looked at. */
export function queuedMessage(
  codec: Codec,
  queue: string,
  raw: RawQueueMessage,
  headersOnly: boolean,
): QueuedMessage<unknown> {
  const [number, place, attempts, lane, sequence, index, storedAt, dueAt, bodyBytes, body] = raw;
  const [, , , , , , , , , , properties, deadReason, deaths, expiresAt, sender, priority] = raw;
  const id = `${lane}-${sequence}-${index}`;
  return {
    ...message(codec, queue, id, headersOnly ? null : body, properties ?? null, peerId(sender)),
    number,
    state: STATES[place] as QueuedMessage<unknown>["state"],
    attempts,
    storedAt: new Date(storedAt),
    dueAt: dueAt === null ? undefined : new Date(dueAt),
    expiresAt: typeof expiresAt === "number" ? new Date(expiresAt) : undefined,
    bodyBytes,
    deadReason: deadReason ?? undefined,
    deaths: readDeaths(deaths),
    priority: priority ?? 0,
  };
}

export function decodeBody(codec: Codec, body: Uint8Array): unknown {
  try {
    return codec.decode(body);
  } catch (cause) {
    throw unreadable("body", cause);
  }
}

const HEX = Array.from({ length: 256 }, (_, byte) => (byte + 256).toString(16).slice(1));

/** A peer, if the node knows it. */
export function peerId(client: Uint8Array | null | undefined): string | undefined {
  return client ? hex(client) : undefined;
}

let latest: { readonly bytes: Uint8Array; readonly text: string } | undefined;

/** It runs once for each live message, and the next one is mostly of the same publisher. */
export function hex(bytes: Uint8Array): string {
  if (latest && areEqual(latest.bytes, bytes)) return latest.text;
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  latest = { bytes: bytes.slice(), text };
  return text;
}

function areEqual(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) return false;
  return true;
}
