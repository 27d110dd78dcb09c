import type { Bus } from "../types.js";
import type { HubLimits } from "./types.js";

/** What happened at a hub. Messages are not told. */
export type HubLogEntry = HubOccurrence & {
  /** `warn`: somebody was kept out or held up. `error`: a bus does not work. */
  readonly level: "info" | "warn" | "error";
};

type HubOccurrence =
  /** `url` begins with `ws://`. */
  | { readonly event: "listening"; readonly url: string }
  | { readonly event: "bus-opened"; readonly bus: string }
  /** It could not be opened, or ended, or told an error that nobody else hears of. */
  | {
      readonly event: "bus-failed";
      readonly bus: string;
      readonly code: string;
      readonly message: string;
    }
  | {
      readonly event: "connected";
      readonly bus: string;
      /** Counts the sockets of the hub. */
      readonly socket: number;
      /** Where it comes from, as the server tells. */
      readonly address: string | undefined;
    }
  | {
      readonly event: "disconnected";
      readonly bus: string;
      readonly socket: number;
      /**
       * `left`: its client closed it. `lost`: it broke. `too-slow`: more than `socket_bytes_max`
       * waited for it. `hub-closing`, `bus-failed`. Else the code for which it was hung up.
       */
      readonly reason: string;
    }
  /** The bus is over: `CLOSED` if it was closed, else why. Who asks for it has it opened anew. */
  | { readonly event: "bus-closed"; readonly bus: string; readonly code: string }
  /** It did not list its queues in time for `GET /metrics`. Told once, until it answers again. */
  | { readonly event: "bus-silent"; readonly bus: string }
  /**
   * The storage of a bus failed, is full or has room again (`quota`, `number` is 0 then), or has
   * lost what was confirmed to this process (`rolled-back`, `cleared`): see the event `storage` of
   * a bus.
   */
  | {
      readonly event: "storage";
      readonly bus: string;
      readonly code: string;
      readonly reason: string;
      readonly number: number;
    }
  /**
   * The storage of a bus was put back to an earlier state: a client came again that has `count`
   * more sends confirmed than are stored, as it says itself. It is told by the event `storage` as
   * well.
   */
  | {
      readonly event: "sends-lost";
      readonly bus: string;
      readonly socket: number;
      /** Its id, as `bus.peers` tells it. */
      readonly client: string;
      readonly count: number;
    }
  /**
   * A limit of the hub was met. Of each limit one is told a second, with how many there were since
   * the last that was told, this one included.
   */
  | {
      readonly event: "limited";
      readonly limit: LimitName;
      readonly count: number;
      /** Of limits per user. */
      readonly user?: string;
    }
  /** What `authorize` gave is no grant: nobody comes in with it. */
  | { readonly event: "authorize-failed"; readonly bus: string; readonly message: string }
  /** A socket or a request was turned away at the door. */
  | { readonly event: "refused"; readonly why: string; readonly address: string | undefined }
  | { readonly event: "closing" }
  | { readonly event: "closed" };

/** Limits at which somebody is refused, dropped or made to wait. */
export type LimitName = keyof Omit<HubLimits, "drain_ms" | "socket_silence_ms">;

/** Tells that a limit was met, now and then. */
export type Limited = (limit: LimitName, user?: string) => void;

const LIMITED_MS = 1000;

/** Counts what it does not tell: whoever floods a hub must not flood its log. */
export function limitedLog(log: Log): Limited {
  const told = new Map<LimitName, { at_ms: number; count: number }>();
  return (limit, user) => {
    const now_ms = performance.now();
    const known = told.get(limit) ?? { at_ms: -Infinity, count: 0 };
    told.set(limit, known);
    known.count += 1;
    if (now_ms - known.at_ms < LIMITED_MS) return;
    const { count } = known;
    Object.assign(known, { at_ms: now_ms, count: 0 });
    log("warn", { event: "limited", limit, count, ...(user !== undefined && { user }) });
  };
}

/** Tells an occurrence. */
export type Log = (level: HubLogEntry["level"], occurrence: HubOccurrence) => void;

const logs = new WeakMap<object, Log>();

/** The log of a hub, for what serves it. */
export function logOf(hub: object): Log {
  return logs.get(hub) ?? (() => {});
}

/** Tells what a bus says of its storage. */
export function logStorage(log: Log, name: string, bus: Bus): void {
  bus.addEventListener("storage", ({ detail: { code, reason, number } }) => {
    const is_over = reason === "quota" && !number;
    log(is_over ? "info" : "error", { event: "storage", bus: name, code, reason, number });
  });
}

/** A log that throws takes no socket along. */
export function openLog(hub: object, tell: ((entry: HubLogEntry) => void) | undefined): Log {
  const log: Log = (level, occurrence) => {
    try {
      tell?.({ level, ...occurrence });
    } catch (error) {
      console.error(error);
    }
  };
  logs.set(hub, log);
  return log;
}
