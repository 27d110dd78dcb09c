import { encodeAll, type Item, part } from "./batch.js";
import { encodeNow } from "./codec/encode.js";
import type { Context } from "./context.js";
import { type Encoded, NOTHING } from "./engine.js";
import { requireHub } from "./keeping.js";
import { invalid, isTabmqError, type TabmqError } from "./errors.js";
import { LiveHandle } from "./live.js";
import { queuedMessage } from "./message.js";
import { checkOnCheck, checkPrepare, type CheckedWait, checkWait, restOf } from "./options.js";
import { attempt } from "./pending.js";
import {
  EVENT,
  type HandleEvent,
  type RawBus,
  type RawEventOf,
  type RawQueueMessage,
} from "./raw.js";
import type { Receipts } from "./receipt.js";
import type {
  CheckedMessage,
  Checker,
  Durability,
  Prepared,
  PrepareOptions,
  Queue,
  SendOptions,
} from "./types.js";

export type CheckHandler = Parameters<Queue<unknown>["onCheck"]>[0];

/** A queue as these verbs see it. */
export interface Asking {
  readonly context: Context;
  readonly name: string;
  readonly ask: <T>(
    verb: string,
    wait: CheckedWait,
    encoded: Encoded,
    begin: Parameters<Context["ask"]>[3],
    read: (event: never) => T,
  ) => Promise<T>;
  readonly receipts: Receipts;
}

export function prepare(
  queue: Asking,
  body: unknown,
  options: PrepareOptions | undefined,
): Promise<Prepared> {
  const { checkAfter = null, ...checked } = checkPrepare(options),
    { durability, confirm, id } = checked;
  requireHub(queue.context, "prepare", confirm);
  const track = checked.track ?? confirm === "processed";
  const { item } = part(queue.context, queue.name, body, { ...checked, track }, "");
  const items = encodeAll([item], ([made]) => encodeNow([[...(made as Item), [checkAfter]]]));
  const begin = (raw: RawBus, bytes: Uint8Array) => raw.sendBatch(queue.name, bytes, durability);
  return queue.ask("prepare", checked, items, begin, (event: RawEventOf<"sent">) => {
    const [, , lane, sequence] = event;
    return handle(queue, id ?? `${lane}-${sequence}-0`, durability, track, confirm);
  });
}

export function prepared(queue: Asking, id: string): Prepared {
  if (typeof id !== "string" || !id) throw invalid("prepared: the id must be a string", "id");
  return handle(queue, id, undefined, true, undefined);
}

export function onCheck(
  queue: Asking,
  handler: CheckHandler,
  options: { signal?: AbortSignal } | undefined,
): Checker {
  if (typeof handler !== "function") throw invalid("onCheck: there is no handler", "handler");
  const { signal } = checkOnCheck(options);
  const { context, name } = queue;
  const settle = (id: string, commit: boolean) =>
    decide(queue, "onCheck", id, commit, undefined, {}, () => undefined);
  return new LiveChecker(context, name, handler, settle, signal);
}

function handle(
  queue: Asking,
  id: string,
  durability: Durability | undefined,
  track: boolean,
  confirm: SendOptions["confirm"],
): Prepared {
  const receiptOf = (original: number) => {
    const repeats = original ? ([[0, original]] as const) : [];
    return queue.receipts.make(durability, [EVENT.sent, 0, 0, 0, repeats], 0, id, track);
  };
  return {
    id,
    commit: (options) =>
      attempt(async () => {
        const wait = checkWait("commit", options),
          rest = restOf(wait);
        const stored = await decide(queue, "commit", id, true, durability, wait, receiptOf);
        if (confirm === "processed") await stored.processed(rest());
        return stored;
      }),
    rollback: (options) =>
      attempt(() => {
        const wait = checkWait("rollback", options);
        return decide(queue, "rollback", id, false, durability, wait, () => undefined);
      }),
  };
}

/** `read` gets the number of the message that it repeats, or 0. */
function decide<T>(
  queue: Asking,
  verb: string,
  id: string,
  commit: boolean,
  durability: Durability | undefined,
  wait: CheckedWait,
  read: (original: number) => T,
): Promise<T> {
  const begin = (raw: RawBus) => raw.decide(queue.name, id, commit, durability);
  return queue.ask(verb, wait, NOTHING, begin, (event: RawEventOf<"counted">) => read(event[2]));
}

/** Decides about a prepared message of the queue. */
type Decide = (id: string, commit: boolean) => Promise<unknown>;

/** Another one decided meanwhile, or nobody waits for the decision any more. */
const LATE = ["NOT_FOUND", "DISCARDED", "CLOSED"] as const;

/** Answers for prepared messages of one queue. */
export class LiveChecker extends LiveHandle implements Checker {
  readonly kind = 6;
  readonly queue: string;
  readonly #handler: CheckHandler;
  readonly #decide: Decide;
  #running = 0;

  constructor(
    context: Context,
    queue: string,
    handler: CheckHandler,
    settle: Decide,
    signal: AbortSignal | undefined,
  ) {
    super(context, `onCheck of queue "${queue}"`, signal);
    this.queue = queue;
    this.#handler = handler;
    this.#decide = settle;
    context.engine.events.open(this);
  }

  get running(): number {
    return this.#running;
  }

  begin(raw: RawBus): number {
    return raw.check(this.queue);
  }

  end(raw: RawBus, number: number): void {
    raw.endCheck(number);
  }

  take(event: HandleEvent): void {
    if (event[0] !== EVENT.check) return;
    const [, , message] = event;
    if (message) void this.#answer(message);
    else this.setReady();
  }

  protected stopped(_error: TabmqError): void {}

  async #answer(raw: RawQueueMessage): Promise<void> {
    this.#running += 1;
    try {
      const message = checkedMessage(this.context, this.queue, raw);
      const verdict: unknown = await this.#handler(message);
      if (verdict === "commit" || verdict === "rollback")
        await this.#decide(message.id, verdict === "commit");
      else if (verdict !== "unknown")
        throw invalid(`onCheck: the handler answers "commit", "rollback" or "unknown"`, "verdict");
    } catch (error) {
      if (!LATE.some((code) => isTabmqError(error, code))) this.context.report(error);
    } finally {
      this.#running -= 1;
      this.handlerDone();
    }
  }
}

function checkedMessage(
  { codec }: Context,
  queue: string,
  raw: RawQueueMessage,
): CheckedMessage<unknown> {
  const queued = queuedMessage(codec, queue, raw, false);
  const { state: _state, deadReason: _reason, deaths: _deaths, attempts, ...message } = queued;
  return { ...message, checks: attempts };
}
