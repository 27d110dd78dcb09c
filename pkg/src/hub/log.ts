/** What happened at a hub. Messages are not told. */
export type HubLogEntry = HubOccurrence & {
  /** `warn`: somebody was kept out. `error`: a bus does not work. */
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
  /** What `authorize` gave is no grant: nobody comes in with it. */
  | { readonly event: "authorize-failed"; readonly bus: string; readonly message: string }
  /** A socket or a request was turned away at the door. */
  | { readonly event: "refused"; readonly why: string; readonly address: string | undefined }
  | { readonly event: "closing" }
  | { readonly event: "closed" };

/** Tells an occurrence. */
export type Log = (level: HubLogEntry["level"], occurrence: HubOccurrence) => void;

const logs = new WeakMap<object, Log>();

/** The log of a hub, for what serves it. */
export function logOf(hub: object): Log {
  return logs.get(hub) ?? (() => {});
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
