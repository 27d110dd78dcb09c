import { setAlarm } from "./alarms.js";
import { asyncDispose } from "./dispose.js";
import type { Context } from "./context.js";
import { type Encoded, type Engine, NOTHING } from "./engine.js";
import { isTabmqError, Reject, Retry, TabmqError, unencodable } from "./errors.js";
import { type Duration, milliseconds } from "./duration.js";
import type { Interceptors } from "./interceptors.js";
import { message, peerId } from "./message.js";
import { checkAck, checkRetry, checkWait, type CheckedWait, patience } from "./options.js";
import { attempt } from "./pending.js";
import { type RawEventOf, SETTLE } from "./raw.js";
import { readDeaths } from "./deaths.js";
import { StagedTransaction } from "./transaction.js";
import type { Death, Delivery, MessageHeaders, Transaction, Wait } from "./types.js";

/** What goes with a settlement. */
interface Details {
  after_ms?: number | undefined;
  reason?: string | undefined;
  value?: Encoded | undefined;
}

/** One message under one lease. */
export class LeasedDelivery implements Delivery<unknown> {
  readonly topic: string;
  body: unknown;
  readonly id: string;
  headers: MessageHeaders;
  readonly key: string | undefined;
  readonly replyTo: string | undefined;
  readonly correlationId: string | undefined;
  readonly traceparent: string | undefined;
  readonly sender: string | undefined;
  readonly number: number;
  readonly attempt: number;
  readonly storedAt: Date;
  readonly deadReason: string | undefined;
  readonly bodyBytes: number | undefined;
  readonly deaths: readonly Death[];
  readonly priority: number;
  readonly lease: number;
  readonly lease_ms: number;
  /** Told when it is settled though it is lost. */
  onLate: (() => void) | undefined;
  /** Told once, when it is settled or lost. */
  onEnd: (() => void) | undefined;
  readonly #context: Context;
  readonly #controller = new AbortController();
  #settling: { kind: number; promise: Promise<void> } | undefined;
  #lost: TabmqError | undefined;
  readonly #earlier: (delivery: LeasedDelivery) => LeasedDelivery[];
  /** Its producer wants what the handler returns. */
  readonly #tracked: boolean;
  #staged: StagedTransaction | undefined;
  #acked = false;
  #ackedBefore = false;
  #renewNoMore: (() => void) | undefined;

  /** `earlier` gives what came before it to the same consumer and is not settled. */
  constructor(
    context: Context,
    queue: string,
    event: RawEventOf<"delivery">,
    earlier: (delivery: LeasedDelivery) => LeasedDelivery[],
  ) {
    this.#earlier = earlier;
    const [
      ,
      ,
      lease,
      attempts,
      number,
      lane,
      sequence,
      index,
      storedAt,
      lease_ms,
      body,
      properties,
      deadReason,
      bodyBytes,
      tracked,
      deaths,
      sender,
      priority,
    ] = event;
    const id = `${lane}-${sequence}-${index}`;
    const bytes = bodyBytes === null ? body : null;
    const parts = message(context.codec, queue, id, bytes, properties, peerId(sender));
    this.topic = queue;
    this.body = parts.body;
    this.id = parts.id;
    this.headers = parts.headers;
    this.key = parts.key;
    this.replyTo = parts.replyTo;
    this.correlationId = parts.correlationId;
    this.traceparent = parts.traceparent;
    this.sender = parts.sender;
    this.number = number;
    this.attempt = attempts;
    this.storedAt = new Date(storedAt);
    this.deadReason = deadReason ?? undefined;
    this.#tracked = tracked;
    this.bodyBytes = bodyBytes ?? undefined;
    this.deaths = readDeaths(deaths);
    this.priority = priority;
    this.lease = lease;
    this.lease_ms = lease_ms;
    this.#context = context;
    context.engine.events.leases.set(lease, (error) => this.#lose(error));
  }

  /** Whose lease it is. */
  get engine(): Engine {
    return this.#context.engine;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get acked(): boolean {
    return this.#acked;
  }

  /** Somebody else has it, or will have. */
  get lost(): boolean {
    return Boolean(this.#lost);
  }

  /** Settled, being settled, or lost. */
  get over(): boolean {
    return Boolean(this.#settling ?? this.#lost);
  }

  get tx(): Transaction {
    if (this.over)
      throw this.#lost ?? new TabmqError("STALE_LEASE", "tx: the delivery is settled already");
    this.#staged ??= new StagedTransaction(this.#context);
    return this.#staged as Transaction;
  }

  /** What is stored with its acknowledgement. */
  get staged(): StagedTransaction | undefined {
    return this.#staged?.isEmpty ? undefined : this.#staged;
  }

  /** What its handler returned, if its producer wants it. */
  encodeValue(value: unknown): Encoded | undefined {
    return this.#tracked && value !== undefined ? this.#context.encode(value, "value") : undefined;
  }

  /** There is nothing left to handle. */
  get isVoid(): boolean {
    return this.over && !this.#ackedBefore;
  }

  ack(value?: unknown, options?: Wait & { multiple?: boolean }): Promise<void> {
    return attempt(async () => {
      const { multiple, ...wait } = checkAck(options);
      const encoded = this.encodeValue(value);
      const earlier = multiple ? this.#earlier(this).filter(({ over }) => !over) : [];
      const others = earlier.map((delivery) => delivery.#settle("ack", wait));
      await Promise.all([...others, this.#settle("ack", wait, { value: encoded })]);
    });
  }

  progress(value: unknown): void {
    if (!this.#tracked || this.over) return;
    const bytes = this.#context.encode(value, "progress");
    if (bytes instanceof Promise)
      throw unencodable("progress", "a blob, whose bytes are not here yet,");
    this.#context.engine.tell((raw) => raw.progress(this.lease, bytes));
  }

  /** Shows it to interceptors. */
  async pass(interceptors: Interceptors): Promise<void> {
    const { topic: queue, id, sender, body, headers } = this;
    const about = { queue, id, sender, attempt: this.attempt };
    const letter = { kind: "delivery" as const, ...about, body, headers };
    await interceptors.incoming(letter);
    this.body = letter.body;
    this.headers = letter.headers;
  }

  /** Acknowledged before anyone handles it. */
  async ackBefore(): Promise<void> {
    await this.ack();
    this.#ackedBefore = true;
  }

  retry(options?: Wait & { after?: Duration; reason?: string }): Promise<void> {
    return attempt(() => {
      const { after, reason, ...wait } = checkRetry(options);
      return this.#settle("retry", wait, { after_ms: after, reason });
    });
  }

  nack(options?: Wait & { after?: Duration; reason?: string }): Promise<void> {
    return this.retry(options);
  }

  reject(reason = "", options?: Wait): Promise<void> {
    return attempt(() =>
      this.#settle("reject", checkWait("reject", options), { reason: String(reason) }),
    );
  }

  release(options?: Wait): Promise<void> {
    return attempt(() => this.#settle("release", checkWait("release", options)));
  }

  extend(lease?: Duration, options?: Wait): Promise<void> {
    return attempt(() =>
      this.#send(
        "extend",
        checkWait("extend", options),
        { after_ms: lease === undefined ? undefined : Math.round(milliseconds(lease, "extend")) },
      ),
    );
  }

  async [asyncDispose](): Promise<void> {
    if (!this.over) await this.release();
  }

  /** Settles it as the end of its handler says. The promise never rejects. */
  async finish(handled: Promise<unknown>): Promise<void> {
    let value: unknown;
    const failure = await handled.then(
      (returned) => void (value = returned),
      (error: unknown) => ({ error }),
    );
    const isVerdict = failure?.error instanceof Reject || failure?.error instanceof Retry;
    if (failure && (this.over || !isVerdict)) this.#context.report(failure.error);
    // A handler may have settled it itself.
    if (this.#settling) return;
    try {
      await (failure ? this.#settleFailure(failure.error) : this.ack(value));
    } catch (error) {
      if (error !== failure?.error) this.#context.report(error);
      await this.#settleRefused(error).catch((another) => this.#context.report(another));
    }
  }

  /** What its handler returned or staged was refused. */
  async #settleRefused(error: unknown): Promise<void> {
    // Another attempt would return the same.
    if (isTabmqError(error, "UNENCODABLE")) return this.reject(error.message);
    if (this.staged && !this.over && isTabmqError(error) && !error.maybeExecuted)
      return this.#settleFailure(error);
  }

  /** Keeps the lease for as long as the delivery is not over. */
  renew(): void {
    if (this.over) return;
    this.#renewNoMore = setAlarm(this.lease_ms / 2, () => {
      if (this.over) return;
      this.#send("extend", { timeout: this.lease_ms }).then(
        () => this.renew(),
        (error: unknown) => {
          if (!isTabmqError(error, "STALE_LEASE")) this.renew();
        },
      );
    });
  }

  #settleFailure(error: unknown): Promise<void> {
    if (error instanceof Reject) return this.reject(error.message);
    if (error instanceof Retry) {
      return this.retry({ after: error.after, reason: error.message });
    }
    return this.retry({ reason: String(error) });
  }

  #settle(
    how: keyof typeof SETTLE,
    wait: CheckedWait,
    details: Details = {},
  ): Promise<void> {
    const kind = SETTLE[how];
    if (this.#settling?.kind === kind) return this.#settling.promise;
    if (this.#settling)
      throw new TabmqError("STALE_LEASE", `${how}: the delivery is settled already`);
    const staged = kind === SETTLE.ack ? this.staged : undefined;
    const promise = staged
      ? this.#commit(staged, wait, details.value)
      : this.#send(how, wait, details);
    this.settleWith(promise, kind);
    return promise;
  }

  /** It is settled once `promise` resolves: a transaction acknowledges it. */
  settleWith(promise: Promise<void>, kind: number = SETTLE.ack): void {
    this.#settling = { kind, promise };
    if (this.#staged) this.#staged.sealed = true;
    promise.then(
      () => this.#end(kind === SETTLE.ack),
      (error: unknown) => {
        if (isTabmqError(error, "STALE_LEASE")) return this.#lose(error);
        // It may be tried again.
        this.#settling = undefined;
        if (this.#staged) this.#staged.sealed = false;
      },
    );
  }

  #commit(staged: StagedTransaction, wait: CheckedWait, value: Encoded | undefined) {
    if (this.#lost) throw this.#lost;
    const { verb_timeout_ms } = this.#context.engine.limits;
    const commit = patience("delivery.ack", wait, verb_timeout_ms);
    return staged.commit(commit, undefined, { delivery: this, value });
  }

  #send(
    how: keyof typeof SETTLE,
    wait: CheckedWait,
    { after_ms, reason, value }: Details = {},
  ): Promise<void> {
    if (this.#lost) {
      this.onLate?.();
      throw this.#lost;
    }
    const { verb_timeout_ms } = this.#context.engine.limits;
    return this.#context.engine.ask(
      patience(`delivery.${how}`, wait, verb_timeout_ms),
      "settlement",
      value ?? NOTHING,
      (raw, bytes) =>
        raw.settle(this.lease, SETTLE[how], after_ms, reason || undefined, value && bytes),
      () => undefined,
    ).promise;
  }

  #lose(error: TabmqError): void {
    if (this.#lost) return;
    this.#lost =
      error.code === "STALE_LEASE"
        ? error
        : new TabmqError("STALE_LEASE", "the lease is lost", { cause: error });
    this.#end();
    this.#controller.abort(this.#lost);
  }

  #end(acked = false): void {
    this.#acked = acked;
    this.#renewNoMore?.();
    this.#context.engine.events.leases.delete(this.lease);
    this.onEnd?.();
    this.onEnd = undefined;
  }
}

