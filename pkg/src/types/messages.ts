import type { Name } from "../schema.js";
import type { Duration } from "../duration.js";
import type { Live, MessageHeaders, Wait } from "./common.js";

export interface MessageOptions {
  /** In place of the id that the send gets. */
  id?: string;
  headers?: MessageHeaders;
  key?: string;
  replyTo?: string;
  correlationId?: string;
  /** Where it belongs in a trace: https://www.w3.org/TR/trace-context. Else `INVALID`. */
  traceparent?: string;
}

export interface PublishOptions extends MessageOptions, Wait {}

/** The node has heard the message; subscribers of this device have it or are getting it. */
export interface Published {
  readonly at: "device" | "hub";
}

/**
 * For state of which only the newest counts: of each key the newest message is kept and the older
 * ones are left out, which is counted and no gap.
 */
export interface Conflate {
  /**
   * What a key is. `key`, the default: a topic and the `key` of its messages, or the topic alone
   * for those without one. `topic`: a topic, whatever the `key`.
   */
  by?: "key" | "topic";
  /**
   * Each key is delivered at most once in so long, the keys together, in the order in which their
   * newest messages came. `frame`, the default: with each frame that the page draws; 60 times a
   * second by a timer where none are drawn, which browsers slow down to once a second for a page
   * out of sight.
   */
  every?: "frame" | Duration;
}

export interface SubscribeOptions {
  /** Members of a group share the messages: each goes to one of them. */
  group?: string;
  /** Called in order, between messages, when some are lost. Without it the `error` event tells. */
  onGap?: (gap: Gap) => void;
  /** Keeps the newest message of each key. */
  conflate?: Conflate;
  /**
   * Messages an iteration may be behind before the oldest are dropped as a gap, or with `conflate`
   * keys. With a handler no key is dropped: when there are more, all are delivered before their
   * time. Default 1000.
   */
  buffer?: number;
  /** Closes the subscription. */
  signal?: AbortSignal;
}

/** Messages that a subscription did not get. */
export interface Gap {
  readonly publisher: string;
  /** Numbers of that publisher's messages, on any topic. */
  readonly first: number;
  readonly last: number;
  /** `lost`: nobody has them any more. `buffer`: the iteration was too slow. */
  readonly reason: "lost" | "buffer";
}

export interface Message<Body, T extends string = string> {
  /** The topic, or the queue. */
  readonly topic: T;
  readonly body: Body;
  readonly id: string;
  readonly headers: MessageHeaders;
  readonly key: string | undefined;
  readonly replyTo: string | undefined;
  readonly correlationId: string | undefined;
  readonly traceparent: string | undefined;
  /**
   * The id of the peer that sent it, as the node knows it: nothing that a sender writes changes it.
   * `undefined` for advisories, and once a sender left so long ago that it is forgotten
   * (`limits.senders_max`).
   */
  readonly sender: string | undefined;
}

/** A live message. Those of one publisher come in order. */
export interface TopicMessage<Body, T extends string = string> extends Message<Body, T> {
  /** The id of the peer. */
  readonly publisher: string;
  /** Counts the messages of that publisher, on all topics. */
  readonly number: number;
  /** With `conflate`: how many older messages of its key were left out for this one. */
  readonly conflated?: number;
}

/** A message of the topic it names. */
export type MessageOf<T, N extends Name<T>> = { [K in N]: TopicMessage<T[K], K> }[N];

export interface Topic<Body> {
  readonly name: string;
  publish(body: Body, options?: PublishOptions): Promise<Published>;
  /** Publishes and answers nothing, for 60 a second. A failure raises the `error` event. */
  post(body: Body, options?: MessageOptions): void;
  subscribe(handler: (message: TopicMessage<Body>) => unknown): Subscription<TopicMessage<Body>>;
  subscribe(
    options?: SubscribeOptions,
    handler?: (message: TopicMessage<Body>) => unknown,
  ): Subscription<TopicMessage<Body>>;
}

/** Iterate it, or give a handler. `break` closes it. */
export interface Subscription<M> extends Live, AsyncIterable<M> {
  readonly filter: string;
  /** How it keeps up, as of now. */
  readonly stats: SubscriptionStats;
}

export interface SubscriptionStats {
  /** Messages that a handler or an iteration got. */
  readonly delivered: number;
  /** Messages that came and wait for an iteration, or for their time. */
  readonly waiting: number;
  /** Messages that were left out for newer ones of their key. */
  readonly conflated: number;
  /** Messages that were dropped as a gap because too many waited: the iteration is too slow. */
  readonly dropped: number;
}
