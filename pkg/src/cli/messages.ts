import process from "node:process";
import { createBus } from "virtual:main";

import type { Bus, ConnectOptions, Message } from "../types.js";
import { printJson, printLine, readable } from "./print.js";
import { onSignal } from "./signals.js";
import { PORT } from "./usage.js";
import { parse, UsageError, type Values, wholeNumber } from "./words.js";

const COMMON = { hub: "text", token: "text", json: "flag", timeout: "text", help: "flag" } as const;
const WRITE = { ...COMMON, id: "text", key: "text", header: "texts" } as const;
const SEND = { ...WRITE, delay: "text", ttl: "text", priority: "text" } as const;
const READ = { ...COMMON, max: "text" } as const;

type Common = Values<typeof COMMON>;
type Command = (words: readonly string[]) => Promise<void>;

/** By their words. Each rejects with `UsageError` or with what tabmq refuses. */
export const MESSAGE_COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["pub", pub],
  ["sub", sub],
  ["queue send", send],
  ["queue work", work],
  ["queue peek", peek],
]);

async function pub(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, WRITE, [2, 3]);
  const [name = "", topic = "", given] = operands;
  const body = await readBody(given, options.json);
  await using bus = open(name, options);
  const { at } = await bus.publish(topic, body, { ...message(options), ...patience(options) });
  if (options.json) printJson({ at });
}

async function send(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, SEND, [2, 3]);
  const [name = "", queue = "", given] = operands;
  const { delay, ttl, priority } = options;
  const body = await readBody(given, options.json);
  await using bus = open(name, options);
  const { id, duplicate, stored } = await bus.queue(queue).send(body, {
    // This process ends now, and what it alone has with it.
    confirm: "hub",
    ...message(options),
    ...patience(options),
    ...(delay !== undefined && { delay: delay as never }),
    ...(ttl !== undefined && { ttl: ttl as never }),
    ...(priority !== undefined && { priority: wholeNumber(priority, "--priority", 255) }),
  });
  if (options.json) printJson({ id, duplicate, stored });
  else printLine(duplicate ? `${id} (stored before)` : id);
}

async function sub(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, READ, [2, 2]);
  const [name = "", filter = ""] = operands;
  await using bus = open(name, options);
  const subscription = bus.subscribe(filter);
  onSignal(() => subscription.close());
  await subscription.ready(patience(options));
  await each(subscription, options, () => {});
}

async function work(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, READ, [2, 2]);
  const [name = "", queue = ""] = operands;
  await using bus = open(name, options);
  const consumer = bus.queue(queue).consume();
  onSignal(() => consumer.close());
  await consumer.ready(patience(options));
  await each(consumer, options, (delivery) => delivery.ack());
}

async function peek(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, READ, [2, 2]);
  const [name = "", queue = ""] = operands;
  await using bus = open(name, options);
  const looked = bus.queue(queue).browse({ delayed: true, leased: true, ...patience(options) });
  await each(looked, options, () => {});
}

/** Prints messages until there are enough. */
async function each<M extends Message<unknown>>(
  messages: AsyncIterable<M>,
  { json, max }: Values<typeof READ>,
  done: (message: M) => unknown,
): Promise<void> {
  let left = max === undefined ? Infinity : wholeNumber(max, "--max", Number.MAX_SAFE_INTEGER);
  if (!left) return;
  for await (const received of messages) {
    print(received, json);
    await done(received);
    left -= 1;
    if (left <= 0) break;
  }
}

function print(received: Message<unknown>, json: boolean): void {
  const { topic, id, key, headers, body } = received;
  if (json) printJson({ topic, id, key, headers, body });
  else printLine(readable(body));
}

function open(name: string, { hub, token }: Common): Bus {
  const { TABMQ_HUB, TABMQ_TOKEN } = process.env;
  const url = hub ?? TABMQ_HUB ?? `ws://127.0.0.1:${PORT}`;
  const proof = token ?? TABMQ_TOKEN;
  const options: ConnectOptions = { hub: { url, ...(proof !== undefined && { token: proof }) } };
  return createBus(name, options);
}

const patience = ({ timeout = "10s" }: Common) => ({ timeout: timeout as never });

function message({ id, key, header }: Values<typeof WRITE>) {
  const headers = Object.fromEntries(header.map((pair) => splitHeader(pair)));
  return {
    ...(id !== undefined && { id }),
    ...(key !== undefined && { key }),
    ...(header.length && { headers }),
  };
}

function splitHeader(pair: string): [string, string] {
  const at = pair.indexOf("=");
  if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)];
  throw new UsageError(`--header is like name=value, not "${pair}".`);
}

async function readBody(given: string | undefined, json: boolean): Promise<unknown> {
  const text = given === undefined || given === "-" ? await standardInput() : given;
  if (!json) return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`The body is no JSON: ${(error as Error).message}.`);
  }
}

async function standardInput(): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of process.stdin) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}
