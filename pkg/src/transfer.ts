// Queues as files: see docs/export.md.

import { decode } from "./codec/decode.js";
import { encodeNow } from "./codec/encode.js";
import type { Context } from "./context.js";
import { NEWEST } from "./counts.js";
import { readDeaths } from "./deaths.js";
import { NOTHING } from "./engine.js";
import { invalid, isTabmqError, TabmqError } from "./errors.js";
import {
  type CheckedImport,
  type CheckedWait,
  checkQueue,
  patience,
  restOf,
} from "./options.js";
import { pages } from "./pages.js";
import { QueueClient } from "./queue.js";
import type { RawBus, RawEventOf, RawQueueMessage } from "./raw.js";
import type { QueueListing, QueueOptions } from "./types.js";

const MAGIC = new TextEncoder().encode("tabmq-queue\0\0\x01");
const HASH_BYTES = 32;
/** No block that `export` writes is longer: a page, or one message of the largest limit. */
const BLOCK_BYTES_MAX = 64 << 20;

interface Header {
  readonly queue: string;
  readonly options: QueueOptions;
  readonly exportedAt: Date;
}

/** A message in a file. */
type Exported = readonly [
  id: string,
  properties: Uint8Array | null,
  body: Uint8Array,
  storedAtUnixMs: number,
  dueAtUnixMs: number | null,
  attempts: number,
  deaths: Uint8Array | null,
  expiresAtUnixMs?: number | null,
  priority?: number | null,
];

/** What finds the queue in a list. */
interface Lists {
  list(filter?: string, options?: CheckedWait): AsyncIterable<QueueListing>;
}

/** The hash of a block, which covers all blocks before it. */
async function chain(before: Uint8Array, block: Uint8Array): Promise<Uint8Array> {
  const all = new Uint8Array(before.length + block.length);
  all.set(before);
  all.set(block, before.length);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all));
}

function lengthOf(block: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, block.length);
  return bytes;
}

export async function exportQueue(
  context: Context,
  lists: Lists,
  queue: string,
  wait: CheckedWait,
): Promise<Blob> {
  const { verb_timeout_ms } = context.engine.limits;
  const rest = restOf(wait);
  const patient = () => patience("admin: export", rest(), verb_timeout_ms);
  const inspect = (raw: RawBus) => raw.inspect(queue);
  const read = (event: RawEventOf<"queueState">) => event[2][NEWEST] as number;
  const newest = await context.ask(patient(), "request", NOTHING, inspect, read).promise;
  const options = await declaredOptions(lists, queue, rest());
  const parts: Uint8Array[] = [MAGIC];
  let hash: Uint8Array = new Uint8Array(HASH_BYTES);
  const add = async (value: unknown) => {
    const block = encodeNow(value);
    hash = await chain(hash, block);
    parts.push(lengthOf(block), block);
  };
  await add({ queue, options, exportedAt: new Date() } satisfies Header);
  const look = { delayed: true, leased: true, headersOnly: false };
  for await (const page of pages(context, queue, look, patient)) {
    const old = page.filter(([number]) => number <= newest);
    if (old.length) await add(old.map(exported));
    if (old.length < page.length) break;
  }
  parts.push(lengthOf(NOTHING), hash);
  return new Blob(parts as BlobPart[], { type: "application/x-tabmq-queue" });
}

/** A name need not be a topic, so the list is looked through. */
async function declaredOptions(
  lists: Lists,
  queue: string,
  wait: CheckedWait,
): Promise<QueueOptions> {
  for await (const { name, options } of lists.list(undefined, wait)) {
    if (name === queue) return options;
  }
  return {};
}

function exported(raw: RawQueueMessage): Exported {
  const [, , attempts, lane, sequence, index, storedAt, dueAt, , body] = raw;
  const [, , , , , , , , , , properties, , deaths, expiresAt, , priority] = raw;
  const own = properties ? (decode(properties) as [string | null])[0] : null;
  const id = own ?? `${lane}-${sequence}-${index}`;
  const past = [storedAt, dueAt, attempts, deaths ?? null] as const;
  return [id, properties ?? null, body, ...past, expiresAt ?? null, priority ?? null];
}

/** The blocks of a file, the header first. Throws `INVALID` at the first sign of damage. */
async function* blocks(file: Blob): AsyncGenerator<unknown> {
  const read = async (at: number, length: number) => {
    const bytes = new Uint8Array(await file.slice(at, at + length).arrayBuffer());
    if (bytes.length < length) throw damaged("it ends too early");
    return bytes;
  };
  const magic = await read(0, MAGIC.length);
  if (magic.some((byte, index) => byte !== MAGIC[index]))
    throw damaged("it is none of a queue, or of a later version");
  let hash: Uint8Array = new Uint8Array(HASH_BYTES);
  for (let at = MAGIC.length; ; ) {
    const length = new DataView((await read(at, 4)).buffer).getUint32(0);
    at += 4;
    if (!length) {
      const end = await read(at, HASH_BYTES);
      const same = end.every((byte, index) => byte === hash[index]);
      if (!same || file.size !== at + HASH_BYTES) throw damaged("its hash is another");
      return;
    }
    if (length > BLOCK_BYTES_MAX) throw damaged("a block is too long");
    const block = await read(at, length);
    at += length;
    hash = await chain(hash, block);
    let value: unknown;
    try {
      value = decode(block);
    } catch (cause) {
      throw damaged("a block is no CBOR", cause);
    }
    yield value;
  }
}

function damaged(what: string, cause?: unknown): TabmqError<"INVALID"> {
  return new TabmqError("INVALID", `import: the file can't be read: ${what}`, {
    data: { reason: "file" },
    cause,
  });
}

const isBytes = (value: unknown) => value instanceof Uint8Array;
const isText = (value: unknown) => typeof value === "string";
const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isOr = (value: unknown, is: (value: unknown) => boolean) => value === null || is(value);

/** Throws if they would fail where the message is taken. */
function checkProperties(properties: Uint8Array): void {
  const fields: unknown = decode(properties);
  const isRight = (field: unknown, at: number) => isOr(field, at === 1 ? isBytes : isText);
  if (!Array.isArray(fields) || !fields.every(isRight)) throw invalid("properties");
  const headers: unknown = fields[1] ? decode(fields[1]) : {};
  if (Object(headers) !== headers) throw invalid("headers");
}

function checkMessage(value: unknown): void {
  const [id, properties, body, storedAt, dueAt, ...more] = Array.isArray(value) ? value : [];
  const [attempts, deaths, expiresAt = null, priority = null] = more;
  const right =
    isText(id)
    && isOr(properties, isBytes)
    && isBytes(body)
    && isCount(storedAt)
    && isOr(dueAt, isCount)
    && isCount(attempts)
    && isOr(deaths, isBytes)
    && isOr(expiresAt, isCount)
    && isOr(priority, isCount);
  if (!right) throw damaged("a message is not as it should be");
  try {
    // What would fail where it is taken must not come in.
    if (properties) checkProperties(properties);
    readDeaths(deaths);
  } catch (cause) {
    throw damaged("the properties or the history of a message are not as they should be", cause);
  }
}

/** Reads all of the file and gives what it says of the queue, and how many messages it has. */
async function survey(file: Blob): Promise<Header & { total: number }> {
  let header: Header | undefined;
  let total = 0;
  for await (const block of blocks(file)) {
    if (header) {
      if (!Array.isArray(block)) throw damaged("a block is no list");
      block.forEach(checkMessage);
      total += block.length;
    } else {
      header = block as Header;
      if (typeof header?.queue !== "string") throw damaged("it names no queue");
      try {
        checkQueue(header.options);
      } catch (cause) {
        throw damaged("its options are not as they should be", cause);
      }
    }
  }
  if (!header) throw damaged("it is empty");
  return { ...header, total };
}

export async function importQueue(
  context: Context,
  file: Blob,
  { into, onProgress, ...wait }: CheckedImport,
): Promise<number> {
  if (!(file instanceof Blob)) throw invalid("import: the file must be a Blob", "file");
  const rest = restOf(wait);
  const { queue: named, options, total } = await survey(file);
  context.owns?.(into ?? named, "queue");
  const queue = new QueueClient(context, into ?? named, undefined);
  await queue.info(rest()).catch((error: unknown) => {
    if (!isTabmqError(error, "NOT_FOUND")) throw error;
    return new QueueClient(context, queue.name, options).ready(rest());
  });
  const { verb_timeout_ms } = context.engine.limits;
  let imported = 0;
  try {
    for await (const block of blocks(file)) {
      if (!Array.isArray(block)) continue;
      const now = Date.now();
      const batch = encodeNow(block.map((entry) => itemOf(entry as Exported, now)));
      const begin = (raw: RawBus) => raw.sendBatch(queue.name, batch);
      const patient = patience("admin: import", rest(), verb_timeout_ms);
      await context.ask(patient, "request", batch, begin, () => undefined).promise;
      imported += block.length;
      onProgress?.({ messages: imported, total });
    }
  } catch (error) {
    if (!isTabmqError(error)) throw error;
    const { code, message, maybeExecuted, data, cause } = error;
    throw new TabmqError(code, message, { maybeExecuted, data: { ...data, imported }, cause });
  }
  return imported;
}

/** A message as a send takes it. It keeps its id, attempts and history. */
function itemOf(entry: Exported, now: number): unknown[] {
  const [id, properties, body, storedAt, dueAt, attempts, deaths, expiresAt, priority] = entry;
  const fields = properties ? [...(decode(properties) as unknown[])] : [];
  fields[0] = id;
  const delay = dueAt === null ? null : Math.max(0, dueAt - now);
  // One that expired meanwhile does so where it comes.
  const ttl = typeof expiresAt === "number" ? Math.max(1, expiresAt - now) : null;
  const past = [attempts, storedAt, deaths];
  return [body, encodeNow(fields), delay, null, past, ttl, priority ?? null];
}
