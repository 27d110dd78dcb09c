import { REASONS } from "./deaths.js";
import { type Duration, milliseconds } from "./duration.js";
import { invalid, unsupported } from "./errors.js";
import { checkHub } from "./hub/doors.js";
import { DIAL, SOCKETS } from "./hub/symbol.js";
import type { Limits } from "./limits.js";
import type { Patience } from "./pending.js";
import type { RawDoors, RawSockets, RawWhen } from "./raw.js";
import { hasFolders } from "./storage.js";
import type * as T from "./types.js";

/** Checks one option and gives what the rest of the package works with. */
type Rule<Value> = (value: unknown, name: string) => Value;
type Rules = Readonly<Record<string, Rule<unknown>>>;
type Checked<R extends Rules> = { readonly [key in keyof R]?: ReturnType<R[key]> };

/**
 * Checks the options of one verb: each known one by its rule. An option of a later version is
 * refused as `UNSUPPORTED`, any other one as `INVALID`. An option that is `undefined` is absent.
 */
function check<R extends Rules>(verb: string, options: unknown, rules: R, later = ""): Checked<R> {
  const checked: Record<string, unknown> = {};
  if (options === undefined) return checked as Checked<R>;
  if (typeof options !== "object" || options === null)
    throw invalid(`${verb}: options must be an object`);
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const name = `${verb} option "${key}"`;
    if (Object.hasOwn(rules, key)) checked[key] = (rules[key] as Rule<unknown>)(value, name);
    else if (later.split(" ").includes(key)) throw unsupported(name);
    else throw invalid(`there is no ${name}`, key);
  }
  return checked as Checked<R>;
}

const text: Rule<string> = (value, name) => {
  if (typeof value === "string") return value;
  throw invalid(`${name} must be a string`, name);
};
const count: Rule<number> = (value, name) => {
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
  throw invalid(`${name} must be a positive whole number`, name);
};
const natural: Rule<number> = (value, name) => (value === 0 ? 0 : count(value, name));
const flag: Rule<boolean> = (value, name) => {
  if (typeof value === "boolean") return value;
  throw invalid(`${name} must be true or false`, name);
};
const object: Rule<object> = (value, name) => {
  if (typeof value === "object" && value !== null) return value;
  throw invalid(`${name} must be an object`, name);
};
const action: Rule<Function> = (value, name) => {
  if (typeof value === "function") return value;
  throw invalid(`${name} must be a function`, name);
};
const duration: Rule<number> = (value, name) => {
  const value_ms = milliseconds(value, name);
  if (value_ms <= Number.MAX_SAFE_INTEGER) return Math.round(value_ms);
  throw invalid(`${name} must be finite`, name);
};
const lasting: Rule<number> = (value, name) => {
  const value_ms = duration(value, name);
  if (value_ms > 0) return value_ms;
  throw invalid(`${name} must be at least a millisecond`, name);
};
const abortSignal: Rule<AbortSignal> = (value, name) => {
  if (typeof (value as AbortSignal)?.addEventListener === "function") return value as AbortSignal;
  throw invalid(`${name} must be an AbortSignal`, name);
};
const date: Rule<Date> = (value, name) => {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value;
  throw invalid(`${name} must be a Date`, name);
};
const oneOf =
  <const V extends readonly string[]>(...values: V): Rule<V[number]> =>
  (value, name) => {
    if (values.includes(value as string)) return value as V[number];
    throw invalid(`${name} must be one of ${values.join(", ")}`, name);
  };
const texts: Rule<Record<string, string>> = (value, name) => {
  for (const entry of Object.values(Object(value))) text(entry, name);
  return { ...(Object(value) as Record<string, string>) };
};
const headers: Rule<T.MessageHeaders> = (value, name) => {
  for (const [key, entry] of Object.entries(Object(value))) {
    if (!["string", "number", "boolean"].includes(typeof entry)) {
      throw invalid(`${name}: ${key} must be a string, a number or a boolean`, name);
    }
  }
  return { ...(Object(value) as T.MessageHeaders) };
};

/** https://www.w3.org/TR/trace-context: no id is zero, and versions after 00 may say more. */
const TRACEPARENT =
  /^([\da-f]{2})-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}(-.*)?$/;
const traceparent: Rule<string> = (value, name) => {
  const [whole, version, more] = TRACEPARENT.exec(text(value, name)) ?? [];
  if (whole && version !== "ff" && !(version === "00" && more)) return whole;
  throw invalid(`${name} must be a W3C traceparent`, name);
};

export const checkHeaders = (value: unknown) => headers(value, "headers");
export const checkTrace = (value: unknown) =>
  value === undefined ? undefined : traceparent(value, "traceparent");

const WAIT = { signal: abortSignal, timeout: milliseconds as Rule<number> };
const MESSAGE = {
  id: text,
  headers,
  key: text,
  replyTo: text,
  correlationId: text,
  traceparent,
  ...WAIT,
};
const level = oneOf("memory", "relaxed", "strict");

/** How long a verb waits, from the options that `check` passed. */
export function patience(
  verb: string,
  { signal, timeout }: { signal?: AbortSignal | undefined; timeout?: number },
  timeout_ms: number,
): Patience {
  return { verb, signal, timeout_ms: timeout ?? timeout_ms };
}

export type CheckedWait = Checked<typeof WAIT>;
export const checkWait = (verb: string, options: unknown): CheckedWait =>
  check(verb, options, WAIT);

/** What is left of a wait for all steps of a verb. Without a timeout each step has its own. */
export function restOf({ signal, timeout }: CheckedWait): () => CheckedWait {
  const began = performance.now();
  return () => ({
    ...(signal && { signal }),
    ...(timeout !== undefined && { timeout: Math.max(0, timeout - (performance.now() - began)) }),
  });
}

export type CheckedMessage = Checked<typeof MESSAGE>;
export const checkPublish = (options: unknown): CheckedMessage =>
  check("publish", options, MESSAGE, "ttl retain");

/** Whatever the limit `priorities_max` says. */
const PRIORITIES_MAX = 256;

const SEND = {
  ...MESSAGE,
  ttl: lasting,
  delay: duration,
  at: date,
  durability: level,
  priority: ((value, name) => {
    if (natural(value, name) < PRIORITIES_MAX) return value;
    throw invalid(`${name} must be below ${PRIORITIES_MAX}`, name);
  }) as Rule<number>,
  track: flag,
  supersede: text,
  confirm: oneOf("device", "hub", "processed"),
};
export type CheckedSend = Checked<typeof SEND>;
export const checkSend = (options: unknown): CheckedSend => check("send", options, SEND);

const { supersede: _later, ...PREPARED } = SEND;
const PREPARE = { ...PREPARED, checkAfter: lasting };
export const checkPrepare = (options: unknown) => check("prepare", options, PREPARE);
export const checkOnCheck = (options: unknown) =>
  check("onCheck", options, { signal: abortSignal });

const { id: _own, ...SCHEDULED } = MESSAGE;
const { priority } = SEND;
const SCHEDULE = { ...SCHEDULED, ttl: lasting, durability: level, priority };
export const checkSchedule = (options: unknown) => check("schedule", options, SCHEDULE);
const SAMPLING = { ...WAIT, ttl: lasting, durability: level, priority };
/** What was published brings the rest along. */
export const checkSampling = (options: unknown): ReturnType<typeof checkSchedule> =>
  check("schedule", options, SAMPLING);

const WHEN = { cron: text, timeZone: text, every: duration, at: date, latest: text };
/** When a schedule is due, as it crosses the border, and the topic that it samples. */
export function checkWhen(when: unknown): readonly [when: RawWhen, latest: string | undefined] {
  const { latest, ...times } = check("schedule", when, WHEN);
  if (latest !== undefined && times.at)
    throw invalid("schedule: the latest value is sent again and again, not at a time", "latest");
  return [checkTimes(times), latest];
}

function checkTimes({ cron, timeZone, every, at }: Omit<Checked<typeof WHEN>, "latest">): RawWhen {
  const given = [cron, every, at].filter((value) => value !== undefined);
  if (given.length !== 1) throw invalid("schedule: one of cron, every and at says when", "when");
  if (timeZone !== undefined && cron === undefined)
    throw invalid("schedule: a time zone is for cron", "timeZone");
  if (cron !== undefined) return [1, cron, timeZone ?? null];
  return at ? [3, Math.max(0, at.getTime())] : [2, every as number];
}

const ITEM = { ...SEND, body: (value: unknown) => value };
export const checkItem = (item: unknown, name: string) => {
  const { signal, timeout, durability, confirm, supersede, ...checked } = check(
    name,
    object(item, name),
    ITEM,
  );
  if (signal ?? timeout ?? durability ?? confirm ?? supersede)
    throw invalid(`${name}: an option of the whole batch is given with an item`, name);
  return checked;
};
export type CheckedItem = Omit<ReturnType<typeof checkItem>, "body">;

const { signal: _, timeout: __, durability: ___, confirm: ____, ...STAGED } = PREPARED;
const STAGED_ITEM = { ...STAGED, body: ITEM.body };
export const checkStaged = (options: unknown): CheckedItem =>
  check("tx.send", options, STAGED);
export const checkStagedItem = (item: unknown, name: string) =>
  check(name, object(item, name), STAGED_ITEM);
const BATCH = { ...WAIT, durability: level };
export const checkBatch = (options: unknown) => check("sendBatch", options, BATCH);
export const checkTransaction = (options: unknown) => check("transaction", options, BATCH);

const INGEST = { ...BATCH, batch: count, linger: duration };
export const checkIngest = (options: unknown) => check("ingest", options, INGEST);

/** How long a message waits at the node before it is delivered. */
export function delayOf({ delay, at }: Pick<CheckedSend, "delay" | "at">): number | undefined {
  if (delay !== undefined && at) throw invalid("send: delay and at exclude each other", "delay");
  return at ? Math.max(0, at.getTime() - Date.now()) : delay;
}

const CONFLATE = {
  by: oneOf("key", "topic"),
  every: ((value, name) => (value === "frame" ? value : lasting(value, name))) as Rule<
    number | "frame"
  >,
};
const SUBSCRIBE = {
  group: text,
  conflate: ((value, name) => check(name, object(value, name), CONFLATE)) as Rule<
    Checked<typeof CONFLATE>
  >,
  onGap: action as Rule<(gap: T.Gap) => unknown>,
  buffer: count,
  signal: abortSignal,
};
export const checkSubscribe = (options: unknown) => {
  const onGap = (options as T.SubscribeOptions | undefined)?.onGap as unknown;
  if (onGap === "snapshot" || onGap === "close")
    throw unsupported(`subscribe option "onGap": "${onGap}"`);
  return check("subscribe", options, SUBSCRIBE, "durable where from batch");
};

const CONSUME = {
  concurrency: count,
  prefetch: count,
  prefetchBytes: count,
  priority: natural,
  headersOnly: flag,
  ack: oneOf("after", "before"),
  signal: abortSignal,
};
export const checkConsume = (verb: string, options: unknown) =>
  check(verb, options, CONSUME, "where order group");

const BROWSE = { ...WAIT, limit: count, delayed: flag, leased: flag, headersOnly: flag };
export const checkBrowse = (options: unknown) => check("browse", options, BROWSE, "where");

const PAUSE = { ...WAIT, for: duration };
export const checkPause = (options: unknown) => check("pause", options, PAUSE);

const DELETE = { ...WAIT, ifUnused: flag, ifEmpty: flag };
export const checkDelete = (options: unknown) => check("delete", options, DELETE);

const ACK = { ...WAIT, multiple: flag };
export const checkAck = (options: unknown) => check("ack", options, ACK);

const PROCESSED = { ...WAIT, onProgress: action as Rule<(value: unknown) => unknown> };
export const checkProcessed = (options: unknown) => check("processed", options, PROCESSED);

const RETRY = { ...WAIT, after: duration, reason: text };
export const checkRetry = (options: unknown) => check("retry", options, RETRY);

const RECEIVE = { ...WAIT, max: count, maxBytes: count };
export const checkReceive = (options: unknown) => check("receive", options, RECEIVE);

const percent: Rule<number> = (part, name) => {
  if (typeof part === "number" && part >= 0 && part < 1e6) return Math.round(part * 100);
  throw invalid(`${name} must be a number of at least 0`, name);
};
const waits: Rule<number[]> = (value, name) => {
  if (Array.isArray(value) && value.length) return value.map((wait) => duration(wait, name));
  throw invalid(`${name} must be a list of durations that is not empty`, name);
};
const BACKOFF = {
  kind: oneOf("fixed", "linear", "exponential", "ladder"),
  first: duration,
  factor: percent,
  step: duration,
  waits,
  max: duration,
  jitter: percent,
};
/** What belongs to one kind alone. */
const BACKOFF_OWN = { factor: "exponential", step: "linear", waits: "ladder" } as const;
const backoff: Rule<object> = (value, name) => {
  if (Array.isArray(value)) value = { waits: value, jitter: 0 };
  else if (typeof value !== "object" || value === null)
    value = { kind: "fixed", first: value, jitter: 0 };
  const checked = check(name, value, BACKOFF);
  const { first = 1000, factor, step, waits: ladderMs, max, jitter } = checked;
  const implied = step === undefined ? "exponential" : "linear";
  const kind = checked.kind ?? (ladderMs ? "ladder" : implied);
  for (const [part, owner] of Object.entries(BACKOFF_OWN))
    if (kind !== owner && checked[part as keyof typeof BACKOFF_OWN] !== undefined)
      throw invalid(`${name}: "${part}" is for kind "${owner}"`, part);
  if (kind === "ladder" && !ladderMs) throw invalid(`${name}: a ladder needs "waits"`, "waits");
  const firstMs = ladderMs ? 0 : first;
  return {
    firstMs,
    factorPercent: kind === "exponential" ? (factor ?? 200) : 100,
    waitMsMax: max ?? (ladderMs ? Math.max(...ladderMs) : Math.max(first, 300_000)),
    jitterPercent: jitter ?? 20,
    ...(kind === "linear" && { stepMs: step ?? first }),
    ...(ladderMs && { ladderMs }),
  };
};
const whole32: Rule<number> = (value, name) => {
  if (count(value, name) < 2 ** 32) return value as number;
  throw invalid(`${name} must be below 2 ** 32`, name);
};
const RATE = { limit: whole32, per: lasting, burst: whole32 };
const rate: Rule<object> = (value, name) => {
  const { limit, per, burst } = check(name, object(value, name), RATE);
  if (limit === undefined || per === undefined)
    throw invalid(`${name} must have a limit and a time, { limit, per }`, name);
  return { limit, perMs: per, ...(burst !== undefined && { burst }) };
};
const SLOW = { after: lasting, policy: oneOf("notify", "detach") };
const slow: Rule<{ afterMs: number; detach: boolean }> = (value, name) => {
  const { after, policy } = check(name, object(value, name), SLOW);
  if (after === undefined) throw invalid(`${name} must say after how long`, name);
  return { afterMs: after, detach: policy === "detach" };
};
const QUEUE = {
  durability: level,
  version: natural,
  lease: duration,
  maxDeliver: count,
  backoff,
  maxLength: count,
  maxBytes: count,
  overflow: oneOf("reject", "drop-oldest", "dead-letter"),
  order: oneOf("fifo", "key"),
  onFailure: oneOf("block-key", "skip", "reorder"),
  priorities: count,
  lastValue: flag,
  maxPerKey: count,
  rate,
  slow,
  singleActive: flag,
  waitForConsumers: count,
  waitForConsumersMax: duration,
  exclusive: flag,
  autoDelete: duration,
  keepResults: duration,
  ttl: lasting,
  expired: text,
  dedupe: ((value, name) => (value === false ? 0 : duration(value, name))) as Rule<number>,
  deadLetter: ((value, name) => (value === false ? false : text(value, name))) as Rule<
    string | false
  >,
};
const QUEUE_LATER = "offlineLease schema";
export type CheckedQueue = Checked<typeof QUEUE>;
export const checkQueue = (options: unknown): CheckedQueue =>
  check("queue", options, QUEUE, QUEUE_LATER);

const list: Rule<string[]> = (value, name) => {
  if (Array.isArray(value)) return value.map((entry) => text(entry, name));
  throw invalid(`${name} must be a list of strings`, name);
};
const positive: Rule<number> = (value, name) => {
  if (typeof value === "number" && value > 0 && value < Infinity) return value;
  throw invalid(`${name} must be a number above 0`, name);
};
const WHERE = { reason: oneOf(...REASONS), queue: text, ids: list, headers };
const numbers: Rule<number[]> = (value, name) => {
  if (Array.isArray(value)) return value.map((entry) => count(entry, name));
  throw invalid(`${name} must be a list of numbers`, name);
};
const PICK = { ...WHERE, numbers };
const MOVE = {
  ...WAIT,
  where: ((value, name) => check(name, value, PICK)) as Rule<Checked<typeof PICK>>,
  rate: positive,
  max: count,
};
export type CheckedMove = Checked<typeof MOVE>;
export const checkMove = (options: unknown): CheckedMove => check("move", options, MOVE);

const IMPORT = {
  ...WAIT,
  into: text,
  onProgress: action as Rule<NonNullable<T.ImportOptions["onProgress"]>>,
};
export type CheckedImport = Checked<typeof IMPORT>;
export const checkImport = (options: unknown): CheckedImport => check("import", options, IMPORT);

const POLICY = {
  ...WAIT,
  priority: ((value, name) => {
    if (natural(value, name) < 2 ** 32) return value as number;
    throw invalid(`${name} must be below 2 ** 32`, name);
  }) as Rule<number>,
};
export const checkPolicy = (options: unknown) => check("policy", options, POLICY);
const REDRIVE = {
  ...WAIT,
  where: ((value, name) => check(name, value, WHERE)) as Rule<Checked<typeof WHERE>>,
  rate: positive,
  max: count,
  into: text,
};
export type CheckedRedrive = Checked<typeof REDRIVE>;
export const checkRedrive = (options: unknown): CheckedRedrive =>
  check("redrive", options, REDRIVE);

const SERVE = { concurrency: count, signal: abortSignal };
export const checkServe = (options: unknown) =>
  check("serve", options, SERVE, "balance tags schema methods");

const CALL = { ...WAIT, traceparent };
export type CheckedCall = Checked<typeof CALL>;
export const checkCall = (options: unknown): CheckedCall =>
  check("call", options, CALL, "policy retry hedge scope to balance idempotent exactlyOnce key");

export const checkLead = (options: unknown) => check("lead", options, { signal: abortSignal });

const STOP = { drain: flag, timeout: WAIT.timeout };
export const checkStop = (verb: string, options: unknown) => check(verb, options, STOP, "forget");

const workerSource: Rule<string | URL | (() => SharedWorker | Worker)> = (value, name) => {
  if (typeof value === "function" || value instanceof URL) return value as URL;
  return text(value, name);
};

const PEER = { name: text, tags: texts };
export const checkPeer = (info: unknown): T.PeerInfo => check("peer", info, PEER);
const CONNECT = {
  user: text,
  storage: ((value, name) => {
    if (value === "auto" || value === "memory") return value;
    if (!text(value, name)) throw invalid(`${name} must be "auto", "memory" or a path`, name);
    if (hasFolders()) return value;
    throw unsupported(`${name}: ${String(value)}`);
  }) as Rule<string>,
  durability: level,
  host: oneOf("auto", "shared-worker", "worker", "tab", "inline"),
  peer: ((value, name) => check(name, value, PEER)) as Rule<T.PeerInfo>,
  assets: ((value, name) =>
    check(name, value, { wasm: (source: unknown) => source, worker: workerSource })) as Rule<
    NonNullable<T.ConnectOptions["assets"]>
  >,
  hub: checkHub,
  codec: ((value, name) => {
    const { encode, decode } = object(value, name) as T.Codec;
    return { encode: action(encode, `${name}.encode`), decode: action(decode, `${name}.decode`) };
  }) as Rule<T.Codec>,
  limits: ((value, name) => {
    for (const [key, bound] of Object.entries(object(value, name)))
      natural(bound, `${name}.${key}`);
    return { ...(value as Partial<Limits>) };
  }) as Rule<Partial<Limits>>,
};
/** What only entries for servers give. */
interface OfServers {
  readonly [SOCKETS]?: RawSockets;
  readonly [DIAL]?: NonNullable<RawDoors["socket"]>;
}
export type CheckedConnect = Checked<typeof CONNECT> & OfServers;
export function checkConnect(options: unknown): CheckedConnect {
  const checked = check("connect", options, CONNECT);
  const { hub, storage = "auto" } = checked;
  if (hub && !("share" in hub) && storage !== "auto")
    throw invalid("connect: a hub has its own storage", "storage");
  const { [SOCKETS]: sockets, [DIAL]: dial } = (options ?? {}) as OfServers;
  return { ...checked, ...(sockets && { [SOCKETS]: sockets }), ...(dial && { [DIAL]: dial }) };
}

export type { Duration };
