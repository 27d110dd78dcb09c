import { decode } from "../codec/decode.js";
import { Writer } from "../codec/writer.js";
import {
  type Commit,
  type Fault,
  keyOf,
  type Reason,
  type Store,
  StoreFault,
  Unusable,
} from "./store.js";

const ASK = { open: 1, commit: 2, read: 3, list: 4, readFence: 5 } as const;
const TELL = {
  ready: 1,
  unusable: 2,
  opened: 3,
  committed: 4,
  values: 5,
  chunks: 6,
  fence: 7,
  failed: 8,
} as const;
const FAULTS: { readonly [fault in Fault]: number } = { aborted: 1, quota: 2, fenced: 3, lost: 4 };
const UNUSABLE: { readonly [reason in Reason]: number } = {
  format: 1,
  "in use": 2,
  quota: 3,
  open: 4,
};

/** Answers are told when they have this much, though more is asked for. */
const ANSWER_BYTES = 1 << 20;

type RawKey = readonly [kind: number, number: number];
type RawPut = readonly [kind: number, number: number, bytes: Uint8Array];
type Action =
  | readonly [typeof ASK.open | typeof ASK.list | typeof ASK.readFence]
  | readonly [
      typeof ASK.commit,
      expect: Uint8Array | null,
      claim: Uint8Array | null,
      strict: boolean,
      puts: readonly RawPut[],
      deletes: readonly RawKey[],
    ]
  | readonly [typeof ASK.read, keys: readonly RawKey[]];

type Asked = readonly [op: number, action: Action];

/**
 * One use of a store by the wasm module: takes batches of actions and performs them one after the
 * other. src/web/storage_batch.rs has the other side.
 */
export class Session {
  readonly #store: Store;
  readonly #answer: (batch: Uint8Array) => void;
  readonly #note: (error: unknown) => void;
  #actions: Asked[] = [];
  #answers: Answers = new Answers();
  #working: Promise<void>;
  #busy = true;
  #closed = false;

  /** It starts no sooner than `after`. `note` hears of whatever fails. */
  constructor(
    store: Store,
    after: Promise<unknown>,
    answer: (batch: Uint8Array) => void,
    note: (error: unknown) => void,
  ) {
    this.#store = store;
    this.#answer = answer;
    this.#note = note;
    this.#working = this.#begin(after);
  }

  perform(batch: Uint8Array): void {
    this.#actions.push(...(decode(batch, true) as Asked[]));
    if (!this.#busy) this.#working = this.#work();
  }

  /** Nothing is answered any more. Resolves once the store is let go of. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#working;
    await this.#store.close().catch(this.#note);
  }

  async #begin(after: Promise<unknown>): Promise<void> {
    await after;
    try {
      if (this.#closed) return;
      await this.#store.open();
      this.#answers.add(0, TELL.ready, 0);
    } catch (error) {
      this.#note(error);
      const reason = error instanceof Unusable ? error.reason : "open";
      this.#answers.add(0, TELL.unusable, 1).number(UNUSABLE[reason]);
    }
    await this.#work();
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (let next = this.#actions.shift(); next && !this.#closed; next = this.#actions.shift()) {
      const [op, action] = next;
      const isCommit = action[0] === ASK.commit;
      try {
        await this.#perform(op, action);
      } catch (error) {
        this.#note(error);
        const fault = error instanceof StoreFault ? error.fault : "lost";
        this.#answers.add(op, TELL.failed, 1).number(FAULTS[fault]);
      }
      if (isCommit || this.#answers.bytes > ANSWER_BYTES) this.#tell();
      // Its own failures come back with the next commit.
      if (isCommit) await this.#store.tidy().catch(this.#note);
    }
    this.#tell();
    this.#busy = false;
  }

  #tell(): void {
    const batch = this.#answers.take();
    if (batch && !this.#closed) this.#answer(batch);
  }

  async #perform(op: number, action: Action): Promise<void> {
    const store = this.#store,
      answers = this.#answers;
    switch (action[0]) {
      case ASK.open: {
        const { fence, manifest } = await store.look();
        answers.add(op, TELL.opened, 2).epoch(fence);
        return answers.value(manifest);
      }
      case ASK.commit:
        await store.commit(commitOf(action));
        return void answers.add(op, TELL.committed, 0);
      case ASK.read: {
        const values = await store.read(action[1].map(([kind, number]) => keyOf(kind, number)));
        answers.add(op, TELL.values, 1).head(4, values.length);
        for (const value of values) answers.value(value);
        return;
      }
      case ASK.list: {
        const numbers = store.list();
        answers.add(op, TELL.chunks, 1).head(4, numbers.length);
        for (const number of numbers) answers.number(number);
        return;
      }
      case ASK.readFence: {
        const fence = await store.fence();
        answers.add(op, TELL.fence, 1).epoch(fence);
      }
    }
  }
}

function commitOf([, expect, claim, strict, puts, deletes]: Extract<
  Action,
  readonly [typeof ASK.commit, ...unknown[]]
>): Commit {
  return {
    expect: digits(expect),
    claim: digits(claim),
    strict,
    puts: puts.map(([kind, number, bytes]) => ({ key: keyOf(kind, number), bytes })),
    deletes: deletes.map(([kind, number]) => keyOf(kind, number)),
  };
}

function digits(epoch: Uint8Array | null): string | undefined {
  if (!epoch) return undefined;
  return Array.from(epoch, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A batch of answers that is being written. */
class Answers extends Writer {
  #count = 0;

  get bytes(): number {
    return this.at;
  }

  /** Begins one with so many fields. */
  add(op: number, told: number, fields: number): this {
    // A head of fixed length, so that the count can be written when it is known.
    if (!this.#count) this.raw(new Uint8Array([0x9a, 0, 0, 0, 0]));
    this.#count += 1;
    this.head(4, 2);
    this.number(op);
    this.head(4, fields + 1);
    this.number(told);
    return this;
  }

  value(bytes: Uint8Array | undefined): void {
    if (!bytes) return this.byte(0xf6);
    this.head(2, bytes.length);
    this.raw(bytes);
  }

  epoch(epoch: string | undefined): void {
    this.value(epoch === undefined ? undefined : bytesOf(epoch));
  }

  take(): Uint8Array | undefined {
    if (!this.#count) return undefined;
    const batch = this.written.slice();
    new DataView(batch.buffer).setUint32(1, this.#count);
    this.#count = this.at = 0;
    return batch;
  }
}

function bytesOf(epoch: string): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, at) => parseInt(epoch.slice(2 * at, 2 * at + 2), 16));
}
