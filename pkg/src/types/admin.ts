import type { Duration } from "../duration.js";
import type { Watch } from "../watch.js";
import type { Home, Wait } from "./common.js";
import type {
  QueueInfo,
  QueueOptions,
  QueueStats,
} from "./queue-options.js";
import type { BrowseOptions, QueuedMessage, RedriveOptions, Where } from "./queues.js";

/** A queue in a list. */
export interface QueueListing extends QueueInfo {
  readonly name: string;
  /** Bodies of its messages, encoded. */
  readonly bytes: number;
  /** As it was declared: what is absent comes from its policy, or is the default. */
  readonly options: QueueOptions;
  /** The id of the peer that an exclusive queue belongs to. */
  readonly owner: string | undefined;
  /** When its pause ends by itself. */
  readonly pausedUntil: Date | undefined;
  /** See `admin.trace`. */
  readonly traced: boolean;
}

/** A service in a list: somebody serves it, or waits for it. */
export interface ServiceListing {
  /** A version, if it has one, is a part of it. */
  readonly name: string;
  readonly servers: readonly {
    /** The id of the peer, as `bus.peers` tells it. */
    readonly peer: string;
    /** Calls that it takes at a time. */
    readonly concurrency: number;
    /** Calls that it has and did not answer. */
    readonly running: number;
  }[];
  /** Calls that wait for a server with room, or for one at all. */
  readonly waiting: number;
  readonly home: Home;
}

/** Options for every queue whose name fits a pattern. */
export interface Policy {
  readonly name: string;
  /** As a filter of topics: `*` is one word, `#` zero or more. */
  readonly pattern: string;
  readonly priority: number;
  readonly options: PolicyOptions;
}

/** What a policy may give: whatever does not decide what kind of queue it is. */
export type PolicyOptions = Omit<
  QueueOptions,
  "durability" | "version" | "deadLetter" | "singleActive" | "exclusive" | "lastValue"
>;

export interface MoveOptions extends Wait {
  /** Those that fit all that is given. By default all that nobody holds. */
  where?: Where & {
    /** As `number` of a message tells. */
    numbers?: readonly number[];
  };
  /** At most so many a second. Without a `timeout` it then waits for as long as it takes. */
  rate?: number;
  /** At most so many in all. */
  max?: number;
}

export interface ImportOptions extends Wait {
  /** The queue to fill. Default: the one of that name in the file. */
  into?: string;
  /** Told after each batch how many messages are in the queue, of how many in the file. */
  onProgress?: (progress: { readonly messages: number; readonly total: number }) => unknown;
}

/** What a trace tells of a message, by the word that its topic has behind `$tabmq.trace.`. */
export interface TraceEvents {
  sent: Traced;
  delivered: Traced & {
    readonly lease: number;
    readonly attempt: number;
    /** The id of the peer that it went to. */
    readonly client: string;
  };
  settled: Traced & {
    readonly lease: number;
    readonly attempt: number;
    readonly end: "acked" | "released" | "failed" | "dead-lettered" | "discarded";
  };
}

interface Traced {
  readonly queue: string;
  /** By the wall clock of the host. */
  readonly at: Date;
  readonly number: number;
  /** Absent if the message is not in the memory of the host at that moment; so is the next. */
  readonly id?: string;
  readonly traceparent?: string;
  /** So many events before this one were left out: there were too many in a second. */
  readonly missed?: number;
}

/** Running the queues. What a queue does of itself is the same here, by the name of the queue. */
export interface Admin {
  /** All queues in the order of their names, or those whose names fit a filter. */
  list(filter?: string, options?: Wait): AsyncIterable<QueueListing>;
  /**
   * All services in the order of their names, with who serves them and the calls under way. A hub
   * tells those with `admin` in their grant.
   */
  services(options?: Wait): AsyncIterable<ServiceListing>;
  declare(queue: string, options?: QueueOptions, wait?: Wait): Promise<QueueInfo>;
  info(queue: string, options?: Wait): Promise<QueueInfo>;
  stats(queue: string): Watch<QueueStats>;
  /** Looks at the messages of a queue and takes none. */
  peek<Body = unknown>(
    queue: string,
    options?: BrowseOptions,
  ): AsyncIterable<QueuedMessage<Body>>;
  /**
   * Moves messages to another queue, in their order, and tells how many. Attempts are counted anew,
   * what waits for its time goes on waiting, and receipts go along. What is delivered, and what
   * the other queue has no room for, stays. A signal or timeout stops it; what was moved stays
   * moved. It goes on when the tab that hosts is gone.
   */
  move(from: string, to: string, options?: MoveOptions): Promise<number>;
  /**
   * Discards one message, by its id or its number, and tells whether it was there. One that is
   * delivered is not. The receipt of its sender rejects with `DISCARDED`.
   */
  deleteMessage(queue: string, message: string | number, options?: Wait): Promise<boolean>;
  purge(queue: string, options?: Wait): Promise<number>;
  /** Moves the dead letters of a queue back to it. */
  redrive(queue: string, options?: RedriveOptions): Promise<number>;
  pause(queue: string, options?: Wait & { for?: Duration }): Promise<void>;
  resume(queue: string, options?: Wait): Promise<void>;
  delete(
    queue: string,
    options?: Wait & { ifUnused?: boolean; ifEmpty?: boolean },
  ): Promise<number>;
  /**
   * Sets the policy of that name, and tells how many queues it applies to. It counts for queues
   * that exist and for those to come. What a queue declares goes before what a policy gives. Of the
   * policies that fit a queue one applies: that of the highest `priority` (default 0), of these the
   * first by name.
   */
  policy(
    name: string,
    pattern: string,
    options: PolicyOptions,
    more?: Wait & { priority?: number },
  ): Promise<number>;
  removePolicy(name: string, options?: Wait): Promise<void>;
  policies(options?: Wait): Promise<readonly Policy[]>;
  /**
   * Has told on `$tabmq.trace.<event>.<queue>` what happens to messages of the queue: see
   * `TraceEvents`. Stays on over hosts. Costs nothing while nobody subscribes.
   */
  trace(queue: string, on: boolean, options?: Wait): Promise<void>;
  /**
   * The messages of a queue as a file, with headers, attempts and histories: what is there when it
   * begins and is not settled meanwhile. See docs/export.md for the format.
   */
  export(queue: string, options?: Wait): Promise<Blob>;
  /**
   * Puts the messages of an exported file into a queue, in their order, and tells how many. The
   * whole file is checked first: one that is damaged is refused with `INVALID` and changes
   * nothing. Each batch of the file is stored as a whole or not at all; if one is refused, the
   * error tells in `data.imported` how many messages were stored before.
   */
  import(file: Blob, options?: ImportOptions): Promise<number>;

  /** For tests: drops this client with no farewell, as if its realm had died. */
  kill(): void;
  /** For tests: does so to the node, wherever it runs. */
  killHost(): void;
  /**
   * The last frames of this realm as short text, and in the realm that hosts what the storage was
   * asked and answered, the newest last.
   */
  frames(): readonly string[];
}

