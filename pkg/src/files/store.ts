/** Where bytes are kept: the number of a chunk or page, times four, and what it is. */
export type Key = number;

export const KIND_MANIFEST = 0;
export const KIND_CHUNK = 1;

export const keyOf = (kind: number, number: number): Key => number * 4 + kind;
export const kindOf = (key: Key): number => key % 4;
export const numberOf = (key: Key): number => Math.floor(key / 4);

/** The manifest of the log. */
export const MANIFEST = keyOf(KIND_MANIFEST, 0);
/** Chunk 0: no chunk, but room that is kept for a full disk. It is never read. */
export const PLACEHOLDER = keyOf(KIND_CHUNK, 0);

export interface Put {
  readonly key: Key;
  readonly bytes: Uint8Array;
}

/** One atomic write, as src/store.rs defines it. Epochs are 32 digits, whose order is theirs. */
export interface Commit {
  readonly expect: string | undefined;
  readonly claim: string | undefined;
  readonly strict: boolean;
  readonly puts: readonly Put[];
  readonly deletes: readonly Key[];
}

/** Why an action failed, as src/store.rs defines it. */
export type Fault = "aborted" | "quota" | "fenced" | "lost";

const MEANING: { readonly [fault in Fault]: string } = {
  aborted: "the storage changed nothing",
  quota: "there is no room",
  fenced: "another process has taken over",
  lost: "it is not known what was written",
};

export class StoreFault extends Error {
  readonly fault: Fault;

  constructor(fault: Fault, cause?: unknown) {
    super(MEANING[fault], { cause });
    this.fault = fault;
  }
}

/** Why a storage can't be opened. */
export type Reason = "format" | "in use" | "quota" | "open";

export class Unusable extends Error {
  readonly reason: Reason;

  constructor(reason: Reason, message: string, cause?: unknown) {
    super(message, { cause });
    this.reason = reason;
  }
}

/** A storage. Its methods are called one at a time; each failure is a `StoreFault`. */
export interface Store {
  /** Throws `Unusable`. */
  open(): Promise<void>;
  look(): Promise<{ fence: string | undefined; manifest: Uint8Array | undefined }>;
  commit(commit: Commit): Promise<void>;
  /** What may be done now that the answer to a commit is out. */
  tidy(): Promise<void>;
  read(keys: readonly Key[]): Promise<(Uint8Array | undefined)[]>;
  list(): number[];
  fence(): Promise<string | undefined>;
  close(): Promise<void>;
}
