import { encodeAll, type Item, part, type Part } from "./batch.js";
import { encodeNow } from "./codec/encode.js";
import type { Context } from "./context.js";
import type { LeasedDelivery } from "./delivery.js";
import type { Encoded } from "./engine.js";
import { invalid, TabmqError } from "./errors.js";
import { later } from "./later.js";
import { checkStaged, checkStagedItem } from "./options.js";
import { ignoreFailure, type Patience } from "./pending.js";
import type { QueueClient } from "./queue.js";
import type { RawBus, RawEventOf } from "./raw.js";
import type { BatchItem, Durability, Receipt, Staged, StageOptions, Transaction } from "./types.js";

type SentEvent = RawEventOf<"sent">;

/** A message of a transaction. */
class StagedMessage implements Staged {
  readonly part: Part;
  readonly queue: QueueClient;
  #receipt: Receipt | undefined;

  constructor(queue: QueueClient, of: Part) {
    this.queue = queue;
    this.part = of;
  }

  get id(): string | undefined {
    return this.part.id ?? this.#receipt?.id;
  }

  receipt(): Receipt {
    if (!this.#receipt) throw invalid("receipt: the transaction is not stored", "receipt");
    return this.#receipt;
  }

  stored(event: SentEvent, index: number, durability: Durability | undefined): void {
    const { id, track } = this.part;
    this.#receipt = this.queue.receipts.make(durability, event, index, id, track);
  }
}

/** A delivery that is acknowledged with it. */
export interface Acknowledged {
  readonly delivery: LeasedDelivery;
  readonly value: Encoded | undefined;
}

/** What a transaction is built into. */
export interface Staging extends Transaction {
  readonly isEmpty: boolean;
  /** Whether more may be staged. */
  set sealed(sealed: boolean);
  /** Stores all of it. */
  commit(patience: Patience, durability: Durability | undefined): Promise<void>;
}

/** Runs what builds it, at once. Nothing more can be staged if that fails. */
export function buildInto<R>(staged: Staging, build: (tx: Transaction) => R): R {
  try {
    const result = build(staged);
    if (typeof (result as PromiseLike<unknown> | undefined)?.then !== "function") return result;
    ignoreFailure(Promise.resolve(result));
    throw invalid("transaction: what is stored at once can't be built over time", "build");
  } catch (error) {
    staged.sealed = true;
    throw error;
  }
}

/** What is staged, until it is stored as one. */
export class StagedTransaction implements Staging {
  readonly messages: StagedMessage[] = [];
  readonly #acks: Acknowledged[] = [];
  readonly #context: Context;
  #sealed = false;

  constructor(context: Context) {
    this.#context = context;
  }

  get isEmpty(): boolean {
    return !this.messages.length && !this.#acks.length;
  }

  /** Whether more may be staged. */
  set sealed(sealed: boolean) {
    this.#sealed = sealed;
  }

  queue(name: string) {
    this.#context.owns?.(name, "queue");
    const queue = this.#context.queue(name);
    const stage = (of: Part) => {
      this.#check("send");
      const message = new StagedMessage(queue, of);
      this.messages.push(message);
      return message;
    };
    return {
      name,
      send: (body: unknown, options?: StageOptions) =>
        stage(part(this.#context, name, body, checkStaged(options), "")),
      sendBatch: (items: readonly BatchItem<unknown>[]) => {
        if (!Array.isArray(items)) throw invalid("tx.sendBatch: items must be an array", "items");
        const parts = items.map((item, index) => {
          const { body, ...checked } = checkStagedItem(item, `items[${index}]`);
          return part(this.#context, name, body, checked, `items[${index}].`);
        });
        return parts.map(stage);
      },
    };
  }

  ack(delivery: unknown, value?: unknown): void {
    this.#check("ack");
    if (!isDelivery(delivery)) throw invalid("tx.ack: this is no delivery", "delivery");
    if (delivery.engine !== this.#context.engine)
      throw new TabmqError("MIXED_HOMES", "tx.ack: the delivery is from another home or bus");
    if (this.#acks.some((other) => other.delivery === delivery))
      throw invalid("tx.ack: the delivery is acknowledged already", "delivery");
    this.#acks.push({ delivery, value: delivery.encodeValue(value) });
  }

  /** Stores all of it; `own` is the delivery whose acknowledgement it is. */
  commit(patience: Patience, durability: Durability | undefined, own?: Acknowledged) {
    const { engine } = this.#context;
    const others = this.#acks.filter(({ delivery }) => delivery !== own?.delivery);
    for (const { delivery } of others)
      if (delivery.over) throw new TabmqError("STALE_LEASE", "the delivery is settled already");
    this.#sealed = true;
    const acks = own ? [...others, own] : others;
    // What others have staged by their own goes with them.
    const staged = others.flatMap(({ delivery }) => delivery.staged?.messages ?? []);
    const messages = [...this.messages, ...staged];
    let encodedAcks: Uint8Array;
    const encode = (parts: readonly (Item | Uint8Array | undefined)[]) => {
      const value = (index: number) => parts[messages.length + index] ?? null;
      encodedAcks = encodeNow(acks.map(({ delivery }, index) => [delivery.lease, value(index)]));
      return encodeNow(
        messages.map((message, index) => [message.queue.name, [parts[index]]]),
      );
    };
    const values = acks.map(({ value }) => value);
    const items = messages.map((message) => message.part.item);
    const encoded = encodeAll<Item | Uint8Array | undefined>([...items, ...values], encode);
    const declared = messages.map(({ queue }) => queue.declared()).filter(Boolean);
    const ready = declared.length ? Promise.all(declared).then(() => encoded) : encoded;
    const begin = (raw: RawBus, writes: Uint8Array) => raw.commit(writes, encodedAcks, durability);
    const read = (event: SentEvent) =>
      messages.forEach((message, index) => message.stored(event, index, durability));
    // Who drains may still finish what it holds.
    const ask = acks.length ? engine.ask.bind(engine) : this.#context.ask;
    const { promise } = ask(patience, "request", ready, begin, read);
    for (const { delivery } of others) delivery.settleWith(promise);
    return promise;
  }

  #check(verb: string): void {
    if (this.#sealed) throw invalid(`tx.${verb}: the transaction is over`, "tx");
  }
}

/** By what it has: a class of another module would be needed at once. */
function isDelivery(value: unknown): value is LeasedDelivery {
  return typeof (value as Partial<LeasedDelivery> | undefined)?.settleWith === "function";
}

later(StagedTransaction.prototype, "tx", { rejects: "", throws: "stream advance", absent: "" });
