import type { SendOptions } from "../types.js";
import { open } from "./connection.js";
import { inputLines, parseJson } from "./input.js";
import type { SendWords } from "./messages.js";
import { printJson, printLine } from "./print.js";
import { grouped, showProgress } from "./progress.js";
import { UsageError } from "./words.js";

/** Sends without an answer. */
const UNDER_WAY_MAX = 256;

/**
 * Sends each line of standard input as a message, in their order. Stops at the first that is
 * refused, and tells how many are stored all the same.
 */
export async function sendLines(
  name: string,
  queue: string,
  given: string | undefined,
  options: SendWords,
  sending: SendOptions,
): Promise<void> {
  if (given !== undefined && given !== "-")
    throw new UsageError("With --lines the bodies come from standard input: leave BODY out.");
  if (options.id !== undefined)
    throw new UsageError("With --lines there are many messages, and --id names one.");
  const counts = { stored: 0, duplicates: 0 };
  const started = performance.now();
  const told = () => `${grouped(counts.stored)} sent, ${perSecond(counts.stored, started)}`;
  try {
    await using bus = await open(name, options);
    using _ = showProgress(told, options.progress);
    const to = bus.queue(queue);
    await sendEach(options.json, counts, (body) => to.send(body, sending));
  } finally {
    if (options.json) printJson(counts);
    else printLine(`${grouped(counts.stored)} sent`);
  }
}

async function sendEach(
  json: boolean,
  counts: { stored: number; duplicates: number },
  send: (body: unknown) => Promise<{ readonly duplicate: boolean }>,
): Promise<void> {
  const under_way = new Set<Promise<void>>();
  const failures: unknown[] = [];
  let line = 0;
  try {
    for await (const text of inputLines()) {
      line += 1;
      const body = json ? parseJson(text, `Line ${line}`) : text;
      const sent = send(body).then(
        ({ duplicate }) => void (counts[duplicate ? "duplicates" : "stored"] += 1),
        (error: unknown) => void failures.push(error),
      );
      under_way.add(sent);
      void sent.finally(() => under_way.delete(sent));
      if (under_way.size >= UNDER_WAY_MAX) await Promise.race(under_way);
      if (failures.length) break;
    }
  } finally {
    // What is on its way is counted, also before a line that is none.
    await Promise.all(under_way);
  }
  if (failures.length) throw failures[0];
}

function perSecond(count: number, since: number): string {
  const seconds = (performance.now() - since) / 1000;
  return `${grouped(seconds > 0 ? count / seconds : 0)} a second`;
}
