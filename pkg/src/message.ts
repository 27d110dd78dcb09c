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
  const some = Object.keys(headers).length ? encodeNow(headers) : undefined;
  const fields = [id, some, key, replyTo, correlationId, traceparent];
  if (fields.every((field) => field === undefined)) return undefined;
  return encodeNow(fields.map((field) => field ?? null));
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
  const fields = properties ? (decode(properties) as Fields) : [];
  return {
    topic,
    body: (body ? decodeBody(codec, body) : undefined) as Body,
    id: fields[0] ?? id,
    headers: fields[1] ? (decode(fields[1]) as MessageHeaders) : {},
    key: fields[2] ?? undefined,
    replyTo: fields[3] ?? undefined,
    correlationId: fields[4] ?? undefined,
    traceparent: fields[5] ?? undefined,
    sender,
  };
}

/** The key of a message, before all of it is decoded. */
export function keyOf(properties: Uint8Array | null): string | undefined {
  return properties ? ((decode(properties) as Fields)[2] ?? undefined) : undefined;
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
    throw new TabmqError("PROTOCOL", "a body that can't be decoded", {
      cause,
      data: { reason: "body" },
    });
  }
}

const HEX = Array.from({ length: 256 }, (_, byte) => (byte + 256).toString(16).slice(1));

/** A peer, if the node knows it. */
export function peerId(client: Uint8Array | null | undefined): string | undefined {
  return client ? hex(client) : undefined;
}

/** By a table: it runs once for each live message. */
export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}
