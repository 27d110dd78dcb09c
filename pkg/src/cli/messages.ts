import type { Message } from "../types.js";
import { COMMON, open, patience } from "./connection.js";
import { readBody } from "./input.js";
import { printJson, printLine, readable } from "./print.js";
import { grouped, showProgress } from "./progress.js";
import { sendLines } from "./send_lines.js";
import { onSignal } from "./signals.js";
import { parse, splitPair, type Values, wholeNumber } from "./words.js";

const WRITE = {
  ...COMMON,
  id: "text",
  key: "text",
  header: "texts",
  traceparent: "text",
} as const;
const SEND = {
  ...WRITE,
  delay: "text",
  ttl: "text",
  priority: "text",
  lines: "flag",
} as const;
const READ = { ...COMMON, max: "text" } as const;

export type SendWords = Values<typeof SEND>;

export async function pub(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, WRITE, [2, 3]);
  const [name = "", topic = "", given] = operands;
  const publishing = { ...message(options), ...patience(options) };
  const body = await readBody(given, options.json);
  await using bus = await open(name, options);
  const { at } = await bus.publish(topic, body, publishing);
  if (options.json) printJson({ at });
}

export async function send(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, SEND, [2, 3]);
  const [name = "", queue = "", given] = operands;
  const how = sending(options);
  if (options.lines) return sendLines(name, queue, given, options, how);
  const body = await readBody(given, options.json);
  await using bus = await open(name, options);
  const { id, duplicate, stored } = await bus.queue(queue).send(body, how);
  if (options.json) printJson({ id, duplicate, stored });
  else printLine(duplicate ? `${id} (stored before)` : id);
}

export async function sub(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, READ, [2, 2]);
  const [name = "", filter = ""] = operands;
  await using bus = await open(name, options);
  const subscription = bus.subscribe(filter);
  onSignal(() => subscription.close());
  await subscription.ready(patience(options));
  await each(subscription, options, () => {});
}

export async function work(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, READ, [2, 2]);
  const [name = "", queue = ""] = operands;
  await using bus = await open(name, options);
  const consumer = bus.queue(queue).consume();
  onSignal(() => consumer.close());
  await consumer.ready(patience(options));
  await each(consumer, options, (delivery) => delivery.ack());
}

export async function peek(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, READ, [2, 2]);
  const [name = "", queue = ""] = operands;
  await using bus = await open(name, options);
  const looked = bus.queue(queue).browse({ delayed: true, leased: true, ...patience(options) });
  await each(looked, options, () => {});
}

/** Prints messages until there are enough. */
async function each<M extends Message<unknown>>(
  messages: AsyncIterable<M>,
  { json, max, progress }: Values<typeof READ>,
  done: (message: M) => unknown,
): Promise<void> {
  const most = max === undefined ? Infinity : wholeNumber(max, "--max", Number.MAX_SAFE_INTEGER);
  if (!most) return;
  let count = 0;
  using _ = showProgress(() => `${grouped(count)} messages`, progress, true);
  for await (const received of messages) {
    print(received, json);
    await done(received);
    count += 1;
    if (count >= most) break;
  }
}

function print(received: Message<unknown>, json: boolean): void {
  const { topic, id, key, headers, traceparent, body } = received;
  if (json) printJson({ topic, id, key, headers, traceparent, body });
  else printLine(readable(body));
}

function sending(options: SendWords) {
  const { delay, ttl, priority } = options;
  return {
    // This process ends now, and what it alone has with it.
    confirm: "hub" as const,
    ...message(options),
    ...patience(options),
    ...(delay !== undefined && { delay: delay as never }),
    ...(ttl !== undefined && { ttl: ttl as never }),
    ...(priority !== undefined && { priority: wholeNumber(priority, "--priority", 255) }),
  };
}

function message({ id, key, header, traceparent }: Values<typeof WRITE>) {
  const headers = Object.fromEntries(header.map((pair) => splitPair(pair, "--header")));
  return {
    ...(id !== undefined && { id }),
    ...(key !== undefined && { key }),
    ...(header.length && { headers }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

