import type { Context } from "./context.js";
import { whereOf } from "./keeping.js";
import { invalid } from "./errors.js";
import { encodeProperties } from "./message.js";
import { checkPublish, checkSubscribe, patience } from "./options.js";
import { attempt } from "./pending.js";
import { LiveSubscription } from "./subscription.js";
import type {
  MessageOptions,
  Published,
  PublishOptions,
  SubscribeOptions,
  Topic,
} from "./types.js";

type Handler = (message: never) => unknown;

export function publish(
  context: Context,
  topic: string,
  body: unknown,
  options?: PublishOptions,
): Promise<Published> {
  return attempt(() => {
    const checked = checkPublish(options),
      { headers = {} } = checked;
    let properties: Uint8Array | undefined;
    const letter = { kind: "publish" as const, topic, body, headers };
    const encoded = context.interceptors.outgoing(letter, (message) => {
      properties = encodeProperties(checked, message.headers);
      return context.encode(message.body, "body");
    });
    const wait = patience(`publish "${topic}"`, checked, context.engine.limits.verb_timeout_ms);
    return context.ask(
      wait,
      "request",
      encoded,
      (raw, bytes) => raw.publish(topic, bytes, properties),
      (): Published => ({ at: whereOf(context.engine.events.host.get()) }),
    ).promise;
  });
}

export function subscribe(
  context: Context,
  filter: string,
  options?: SubscribeOptions | Handler,
  handler?: Handler,
): LiveSubscription {
  const run = typeof options === "function" ? options : handler;
  if (run !== undefined && typeof run !== "function")
    throw invalid("subscribe: the handler is no function", "handler");
  return new LiveSubscription(
    context,
    filter,
    checkSubscribe(typeof options === "function" ? undefined : options),
    run,
  );
}

export class TopicClient implements Topic<unknown> {
  readonly name: string;
  readonly #context: Context;

  constructor(context: Context, name: string) {
    this.name = name;
    this.#context = context;
  }

  publish(body: unknown, options?: PublishOptions): Promise<Published> {
    return publish(this.#context, this.name, body, options);
  }

  post(body: unknown, options?: MessageOptions): void {
    const { interceptors, posts } = this.#context;
    if (options === undefined && interceptors.none) return posts.post(this.name, body);
    this.publish(body, options).catch((error: unknown) => this.#context.report(error));
  }

  subscribe(options?: SubscribeOptions | Handler, handler?: Handler): LiveSubscription {
    return subscribe(this.#context, this.name, options, handler);
  }
}
