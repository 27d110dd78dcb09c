// Made by `cargo xtask build` from src/error.rs. Edit that file.

/** Every error code with its number on the wire. */
export const CODES = {
  /** The bus, subscription, consumer or service was closed by this side. Open a new one. */
  CLOSED: 1,
  /**
   * The destination or buffer is at its limit and its policy is to refuse. Send later or raise the
   * limit.
   */
  FULL: 2,
  /** An argument or option is not valid. The message names it; nothing was changed. */
  INVALID: 3,
  /** What was named does not exist. */
  NOT_FOUND: 4,
  /** The destination is declared already, with structural options that differ. */
  DUPLICATE_DECLARE: 5,
  /** No queue matched the message. */
  UNROUTABLE: 6,
  /**
   * One operation named what lives at two homes, the device and the hub, or on two buses. Nothing
   * was changed.
   */
  MIXED_HOMES: 7,
  /**
   * The lease ended before this acknowledgement; the message belongs to another delivery. Nothing
   * was changed.
   */
  STALE_LEASE: 8,
  /** The message outlived its time to live. */
  EXPIRED: 9,
  /** The message went to the dead-letter queue. */
  DEAD_LETTERED: 10,
  /** Overflow, purge, cancel, discard or rollback took the message; `data.reason` says which. */
  DISCARDED: 11,
  /** This runtime, host kind, storage or version can't do what was asked. */
  UNSUPPORTED: 12,
  /** The grant of this user does not cover the operation. */
  NOT_AUTHORIZED: 13,
  /** The value can't travel; `data.path` names the part. */
  UNENCODABLE: 14,
  /** The message, name or batch is over a limit; `data.reason` names it. */
  TOO_LARGE: 15,
  /** The deadline passed. `maybeExecuted` says whether the operation may have happened. */
  TIMEOUT: 16,
  /** The caller's signal or `cancel()` ended the operation. */
  CANCELLED: 17,
  /** Nobody can serve this now: no provider, or no node could be reached. */
  UNAVAILABLE: 18,
  /** The peer that had the call went away. `maybeExecuted` says whether it may have run it. */
  PEER_LOST: 19,
  /** The two sides do not mean the same log or the same contract. */
  CONTRACT_MISMATCH: 20,
  /** The stored log or the peer speaks a newer format. Reload to get the newer version. */
  UPGRADE_REQUIRED: 21,
  /** The storage failed or is full; `data.reason` says which. */
  STORAGE: 22,
  /** The peer broke the protocol and was hung up. */
  PROTOCOL: 23,
  /** A defect of tabmq. The node restarts and replays its log. */
  INTERNAL: 24,
} as const;

/** What went wrong, and so who can act on it; `docs/errors.md` explains each. */
export type Code = keyof typeof CODES;
