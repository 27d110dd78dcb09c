import type { Live, Wait } from "./common.js";

// A function type of any kind: `never` takes whatever parameters it has.
type AnyFunction = (...parameters: never[]) => unknown;

/** The methods of a service, as its server writes them. */
export type Served<A> = {
  [M in keyof A]: A[M] extends (...parameters: infer P) => infer R
    ? (...parameters: P) => R | Awaited<R> | Promise<Awaited<R>>
    : A[M];
};

export interface ServeOptions {
  /** Calls at a time. Default 16; more wait. */
  concurrency?: number;
  /** Closes the service. */
  signal?: AbortSignal;
}

/** What a method may know of the call that it runs for. */
export interface CallContext {
  readonly method: string;
  /** The id of the peer that calls, as the node knows it. */
  readonly sender: string;
  /** As the caller gave it. */
  readonly traceparent: string | undefined;
}

export interface Service extends Live {
  readonly name: string;
  /**
   * The call that a method is being started for: read it before the first `await`. `undefined`
   * outside of that.
   */
  readonly current: CallContext | undefined;
}

export interface CallOptions extends Wait {
  /** Where it belongs in a trace: https://www.w3.org/TR/trace-context. Else `INVALID`. */
  traceparent?: string;
}

/** A call under way. Await it; a failure that nobody awaits is no unhandled rejection. */
export interface Call<R> extends Promise<R>, Disposable {
  /** The caller waits no more; it rejects with `CANCELLED`. */
  cancel(): void;
}

/** The methods of a service, as its callers see them. */
export type RemoteClient<A> = {
  readonly [M in keyof A as A[M] extends AnyFunction ? M : never]: A[M] extends (
    ...parameters: infer P
  ) => infer R
    ? (...parameters: P) => Call<Awaited<R>>
    : never;
} & {
  /** The same service with other options. */
  $with(options: CallOptions): RemoteClient<A>;
  /** One way: nothing comes back, not even a failure. */
  readonly $send: {
    readonly [M in keyof A as A[M] extends AnyFunction ? M : never]: A[M] extends (
      ...parameters: infer P
    ) => unknown
      ? (...parameters: P) => void
      : never;
  };
};

export interface Term {
  /** Larger than that of every earlier leader of the role: a fencing token. */
  readonly epoch: number;
  /** Aborts when this client leads no more. */
  readonly signal: AbortSignal;
}

/** `ready` resolves when this client leads. */
export interface Leadership extends Live {
  readonly role: string;
}
