/**
 * What a bus carries, as types: `interface Shop { topics: { "cart.changed": Cart } }`. Each part
 * may be left out; names of a part that is left out are any strings, with bodies of type `unknown`.
 */
export interface Schema {
  topics?: object;
  queues?: object;
  services?: object;
}

/** The bodies of a queue and what its handlers return. */
export interface Job<Body, Result = unknown> {
  readonly body: Body;
  readonly result: Result;
}

type Part<S, P extends keyof Schema> = S extends { [key in P]: infer T extends object }
  ? T
  : Anything;
type Anything = Record<string, unknown>;

export type Topics<S> = Part<S, "topics">;
export type Queues<S> = Part<S, "queues">;
export type Services<S> = Part<S, "services">;
export type Name<T> = keyof T & string;

export type QueueBody<Q> = Q extends Job<infer Body, unknown> ? Body : Q;
export type QueueResult<Q> = Q extends Job<unknown, infer Result> ? Result : unknown;

/** The names of `T` that the filter `F` takes. A filter that is no literal takes all of them. */
export type Matching<T, F extends string> = string extends F
  ? Name<T>
  : string extends Name<T>
    ? string
    : { [N in Name<T>]: Takes<Words<F>, Words<N>> extends true ? N : never }[Name<T>];

type Words<N extends string> = N extends `${infer First}.${infer Rest}`
  ? [First, ...Words<Rest>]
  : [N];

/** `*` is one word, `#` zero or more. */
type Takes<F extends string[], N extends string[]> = F extends [
  infer Word,
  ...infer Rest extends string[],
]
  ? Word extends "#"
    ? Takes<Rest, N> extends true
      ? true
      : N extends [string, ...infer Left extends string[]]
        ? Takes<F, Left>
        : false
    : N extends [infer First, ...infer Left extends string[]]
      ? Word extends "*" | First
        ? Takes<Rest, Left>
        : false
      : false
  : N extends []
    ? true
    : false;
