// The border to the wasm module, as src/js has it. All methods answer at once; what they bring
// about comes back as events.

import type { Counts } from "./counts.js";
import type { HubParts } from "./hub/sockets.js";
import type { Durability, HostKind, StorageKind } from "./types.js";

export interface RawOptions {
  storage: "auto" | "memory" | RawStorage;
  durability: "memory" | "relaxed" | "strict";
  host: "auto" | "tab" | "inline" | "worker-or-tab" | "worker" | "for-pages";
  user?: string;
  peer: Uint8Array;
  limits?: Record<string, number>;
  /** Goes on as this client, which is dead. */
  guest?: Uint8Array;
  /** The node is at a hub. */
  hub?: RawDoors;
  /** The node here is a hub, which is reached through these. */
  sockets?: RawSockets;
  /** In place of `setTimeout`. */
  timer?: RawTimer;
  /** The process of a hub that falls asleep with its sockets open, and the client of its own. */
  sleeper?: Uint8Array;
}

/** How a hub is reached. */
export interface RawDoors {
  readonly urls: readonly string[];
  readonly protocols: readonly string[];
  /** In place of the WebSocket of the realm. */
  readonly socket?: new (url: string, protocols: string[]) => WebSocket;
}

/** The sockets of a hub, by numbers that are not used again. None may call back at once. */
export interface RawSockets {
  /** Tells the hubs of one process apart. Not read by the wasm side. */
  readonly hub: number;
  send(sockets: Uint32Array, bytes: Uint8Array): void;
  /** What was sent before is to arrive. `code` is the number of one of our codes. */
  close(socket: number, code: number): void;
  /** Another grant is asked for, by this token. Answered by `socketGranted`, or it is closed. */
  renew(socket: number, token: string): void;
  /** A client on it had so many more sends confirmed than are stored. */
  lost(socket: number, client: Uint8Array, count: number): void;
  /** The node that knew them is no more. Not called by the wasm side. */
  closeAll(): void;
  /** Names what an earlier process had to a bus that begins. Not called by the wasm side. */
  begin(raw: RawBus): void;
  /** What the bus has of its server, of which it is the only user. Not read by the wasm side. */
  readonly parts?: HubParts | undefined;
}

/** One timer that JavaScript performs. */
export interface RawTimer {
  /** In place of what was set before. */
  set(run: () => void, wait_ms: number): void;
  clear(): void;
}

/** A storage that JavaScript performs; src/web/storage_batch.rs says what the bytes are. */
export interface RawStorage {
  open(answer: (batch: Uint8Array) => void): { perform(batch: Uint8Array): void; close(): void };
}

export interface RawBus {
  /** True if the event `claimed` comes first, and waits for `goOn`. */
  start(): boolean;
  keepSends(): void;
  kept(request: number): void;
  takeUp(send: Uint8Array, anew: boolean): number;
  discardSend(request: number): void;
  giveUpSends(): void;
  goOn(): void;
  /**
   * The log and the user that sends belong to. For a bus at a hub, before it starts; or to take
   * another log.
   */
  bind(log?: Uint8Array, user?: string): void;
  renew(token: string): void;
  publish(topic: string, body: Uint8Array, properties?: Uint8Array): number;
  subscribe(filter: string, group?: string): number;
  unsubscribe(subscription: number): void;
  declare(queue: string, options: object): number;
  inspect(queue: string): number;
  send(
    queue: string,
    body: Uint8Array,
    properties?: Uint8Array | null,
    delayMs?: number | null,
    durability?: string,
    track?: boolean,
  ): number;
  setIngest(on: boolean): void;
  atSocket(socket: number, bytes: Uint8Array): void;
  /** As `RawGrant` of hub/authorize.ts. */
  socketGranted(socket: number, grant: object): void;
  /** An earlier node of this hub had it. Before the bus starts. */
  socketAdopted(socket: number): void;
  socketGone(socket: number): void;
  offer(protocols: readonly string[]): void;
  sendBatch(queue: string, items: Uint8Array, durability?: string, supersede?: string): number;
  commit(writes: Uint8Array, acks: Uint8Array, durability?: string): number;
  consume(queue: string, options: Uint8Array): number;
  changeConsumer(consumer: number, options: Uint8Array): void;
  pause(queue: string, paused: boolean, forMs?: number): number;
  purge(queue: string, through: number): number;
  deleteQueue(queue: string, id: number, ifUnused: boolean, ifEmpty: boolean): number;
  browse(queue: string, page: Uint8Array): number;
  decide(queue: string, id: string, commit: boolean, durability?: string): number;
  check(queue: string): number;
  endCheck(checker: number): void;
  schedule(queue: string, scheduling: Uint8Array, durability?: string): number;
  unschedule(queue: string, number: number): number;
  listSchedules(queue: string, after?: string): number;
  redrive(redrive: Uint8Array): number;
  listQueues(after?: string, filter?: string): number;
  listServices(after?: string): number;
  setPolicy(name: string, pattern: string | undefined, priority: number, options: object): number;
  listPolicies(): number;
  trace(queue: string, traced: boolean): number;
  watchQueue(queue: string): number;
  unwatchQueue(watch: number): void;
  cancelConsumer(consumer: number): void;
  settle(
    lease: number,
    kind: number,
    afterMs?: number,
    reason?: string,
    value?: Uint8Array,
  ): number;
  track(queue: string, id: string, processed: boolean): number;
  progress(lease: number, value: Uint8Array): void;
  serve(name: string, concurrency: number): number;
  unserve(service: number): void;
  call(
    service: string,
    method: string,
    parameters: Uint8Array,
    timeoutMs: number,
    traceparent?: string,
  ): number;
  cancelCall(call: number): void;
  reply(dispatch: number, kind: number, body: Uint8Array | undefined, code?: number): void;
  lead(role: string): number;
  resign(candidate: number): void;
  cancelRequest(request: number): void;
  flush(): number;
  setPeer(info: Uint8Array): void;
  close(drain: boolean): void;
  kill(): void;
  workerNews(up: boolean): void;
  stealLock(): void;
  killHost(): void;
  clientId(): Uint8Array;
  frames(): string[];
  free(): void;
}

export interface RawBusConstructor {
  new (name: string, options: RawOptions, onEvents: (batch: Uint8Array) => void): RawBus;
}

/** How a delivery is settled. */
export const SETTLE = { ack: 1, retry: 2, reject: 3, release: 4, extend: 5 } as const;

/** How a call ends, on both sides of the border. */
export const OUTCOME = { value: 1, threw: 2, failed: 3 } as const;

/** First element of each event. */
export const EVENT = {
  ready: 1,
  lost: 2,
  peers: 3,
  published: 4,
  live: 5,
  gap: 6,
  subscribed: 7,
  queueState: 8,
  sent: 9,
  failed: 10,
  consuming: 11,
  delivery: 12,
  settled: 13,
  leaseLost: 14,
  serving: 15,
  dispatch: 16,
  dispatchCancelled: 17,
  callEnded: 18,
  leading: 19,
  deposed: 20,
  handleRefused: 21,
  flushed: 22,
  closed: 23,
  rolledBack: 24,
  host: 25,
  storage: 26,
  error: 27,
  consumerActive: 28,
  counted: 29,
  listed: 30,
  queueDeleted: 31,
  tracked: 32,
  progress: 33,
  queueStats: 34,
  window: 35,
  check: 36,
  workerMustHost: 37,
  waitsAgain: 38,
  keep: 39,
  letGo: 40,
  claimed: 41,
  unreachable: 42,
  bound: 43,
  foreignLog: 44,
  granted: 45,
  anotherUser: 46,
} as const;

type Bytes = Uint8Array;

/** A message as a browser of its queue sees it. Absent fields at the end are left out. */
export type RawQueueMessage = readonly [
  number: number,
  place: number,
  attempts: number,
  lane: number,
  sequence: number,
  index: number,
  storedAtUnixMs: number,
  dueAtUnixMs: number | null,
  bodyBytes: number,
  body: Bytes,
  properties?: Bytes | null,
  deadReason?: string | null,
  deaths?: Bytes | null,
  expiresAtUnixMs?: number | null,
  sender?: Bytes | null,
  priority?: number | null,
];

/** A queue in a list. Absent fields at the end are left out. */
export type RawQueue = readonly [
  name: string,
  counts: Counts,
  bytes: number,
  options: readonly unknown[],
  owner?: Bytes | null,
  pausedUntilUnixMs?: number | null,
  policy?: string | null,
  traced?: boolean | null,
];

/** A service in a list. */
export type RawService = readonly [
  name: string,
  servers: readonly (readonly [client: Bytes, concurrency: number, running: number])[],
  waiting: number,
];

export type RawPolicy = readonly [
  name: string,
  pattern: string,
  priority: number,
  options: readonly unknown[],
];

/** When a schedule is due: 1 cron and zone, 2 every so many milliseconds, 3 at a time. */
export type RawWhen =
  | readonly [1, cron: string, zone?: string | null]
  | readonly [2 | 3, ms: number];

/** Absent fields at the end are left out. */
export type RawSchedule = readonly [
  key: string,
  number: number,
  when: RawWhen,
  dueAtUnixMs?: number | null,
  last?: readonly [dueAtUnixMs: number, atUnixMs: number, count: number] | null,
  latest?: string | null,
];

/** The fields of each event behind its kind. */
interface Fields {
  ready: [epoch: number, lane: number, resumed: boolean];
  lost: [];
  peers: [peers: readonly (readonly [client: Bytes, info: Bytes])[]];
  published: [request: number];
  live: [
    subscription: number,
    publisher: Bytes,
    number: number,
    topic: string,
    body: Bytes,
    properties: Bytes | null,
  ];
  gap: [subscription: number, publisher: Bytes, first: number, last: number];
  subscribed: [subscription: number];
  queueState: [request: number, counts: Counts, policy: string | null];
  counted: [request: number, count: number];
  listed: [
    request: number,
    entries: readonly (RawQueueMessage | RawQueue | RawService | RawPolicy | RawSchedule)[],
    more: boolean,
  ];
  queueStats: [
    watch: number,
    atUnixMs: number,
    stats: readonly [counts: Counts, bytes: number, oldestAtUnixMs?: number | null] | null,
  ];
  check: [checker: number, message: RawQueueMessage | null];
  queueDeleted: [queue: string];
  tracked: [request: number, value: Bytes | null];
  progress: [request: number, value: Bytes];
  sent: [
    request: number,
    lane: number,
    sequence: number,
    duplicates: readonly (readonly [index: number, original: number])[],
  ];
  window: [items: number];
  keep: [request: number, send: Bytes];
  letGo: [request: number, code: number, reason: string, inDoubt: boolean, heard: boolean];
  claimed: [];
  bound: [log: Bytes | null, user: string | null];
  granted: [endsInMs: number | null];
  anotherUser: [];
  foreignLog: [bound: Bytes, found: Bytes];
  failed: [request: number, code: number, reason: string, maybeExecuted: boolean];
  consuming: [consumer: number, singleActive: boolean];
  consumerActive: [consumer: number, active: boolean];
  delivery: [
    consumer: number,
    lease: number,
    attempt: number,
    number: number,
    lane: number,
    sequence: number,
    index: number,
    storedAtUnixMs: number,
    leaseMs: number,
    body: Bytes,
    properties: Bytes | null,
    deadReason: string | null,
    bodyBytes: number | null,
    tracked: boolean,
    deaths: Bytes | null,
    sender: Bytes | null,
    priority: number,
  ];
  settled: [request: number];
  leaseLost: [lease: number];
  serving: [service: number];
  dispatch: [
    dispatch: number,
    service: number,
    method: string,
    timeoutMsLeft: number,
    parameters: Bytes,
    caller: Bytes,
    traceparent: string | null,
  ];
  dispatchCancelled: [dispatch: number];
  callEnded: [call: number, kind: number, outcome: Bytes | number, maybeExecuted: boolean];
  leading: [candidate: number, term: number];
  deposed: [candidate: number];
  handleRefused: [kind: HandleKind, id: number, code: number];
  flushed: [request: number];
  closed: [code: number];
  rolledBack: [confirmed: number, position: number];
  host: [
    epoch: number,
    here: boolean,
    kind: HostKind,
    storage: StorageKind,
    durability: Durability,
    fenced: boolean,
    persisted: boolean,
    evictable: boolean,
  ];
  storage: [code: number, reason: string, number: number];
  error: [code: number, reason: string];
  workerMustHost: [];
  waitsAgain: [];
  unreachable: [];
}

/** 1 subscription, 2 consumer, 3 service, 4 candidate, 5 watch of a queue, 6 checker. */
export type HandleKind = 1 | 2 | 3 | 4 | 5 | 6;

export type RawEventOf<K extends keyof Fields> = {
  [N in K]: readonly [kind: (typeof EVENT)[N], ...fields: Fields[N]];
}[K];

export type RawEvent = RawEventOf<keyof Fields>;

/** The events of one handle. */
export type HandleEvent = RawEventOf<
  | "subscribed"
  | "live"
  | "gap"
  | "consuming"
  | "consumerActive"
  | "delivery"
  | "serving"
  | "dispatch"
  | "leading"
  | "queueStats"
  | "check"
  | "deposed"
>;
