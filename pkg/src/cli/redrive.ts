import { isTabmqError } from "../errors.js";
import type { Bus, DeathReason, QueueStats, RedriveOptions, Where } from "../types.js";
import { COMMON, open, patience } from "./connection.js";
import { printJson, printLine } from "./print.js";
import { grouped, showProgress } from "./progress.js";
import { onSignal } from "./signals.js";
import { parse, splitPair, UsageError, wholeNumber } from "./words.js";

const REDRIVE = {
  ...COMMON,
  where: "texts",
  rate: "text",
  max: "text",
  into: "text",
} as const;

const RATE_MAX = 1_000_000;
const HEADER = "header.";

/** Has the dead letters of a queue moved back, and prints how many were. */
export async function redrive(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, REDRIVE, [2, 2]);
  const [name = "", queue = ""] = operands;
  const { rate, max, into, timeout } = options;
  const stop = new AbortController();
  const wanted: RedriveOptions = {
    signal: stop.signal,
    timeout: (timeout ?? Infinity) as never,
    where: whereOf(options.where),
    ...(rate !== undefined && { rate: rateOf(rate) }),
    ...(max !== undefined && { max: wholeNumber(max, "--max", Number.MAX_SAFE_INTEGER) }),
    ...(into !== undefined && { into }),
  };
  await using bus = await open(name, options);
  onSignal(() => stop.abort());
  const letters = await lettersOf(bus, queue, options.timeout);
  const moved = await follow(letters, options.progress, () => bus.queue(queue).redrive(wanted));
  if (options.json) printJson({ moved });
  else printLine(`${grouped(moved)} moved`);
}

/** The statistics of where the dead letters of a queue lie, if it has such a queue. */
async function lettersOf(bus: Bus, queue: string, timeout: string | undefined) {
  const wait = patience({ timeout } as never);
  for await (const { options } of bus.admin.list(queue, wait)) {
    const { deadLetter = `${queue}.dead` } = options;
    if (deadLetter === false) return undefined;
    const { stats } = bus.queue(deadLetter);
    return { stats, first: await readyIn(bus, deadLetter, wait) };
  }
  return undefined;
}

async function readyIn(bus: Bus, queue: string, wait: ReturnType<typeof patience>) {
  try {
    return (await bus.admin.info(queue, wait)).ready;
  } catch (error) {
    if (isTabmqError(error, "NOT_FOUND")) return 0;
    throw error;
  }
}

/** Runs a redrive, and tells meanwhile how many dead letters are left. */
async function follow(
  letters: Awaited<ReturnType<typeof lettersOf>>,
  wanted: boolean,
  run: () => Promise<number>,
): Promise<number> {
  if (!letters) return run();
  const { stats, first } = letters;
  let now: QueueStats | undefined;
  const leave = stats.subscribe((next) => void (now = next));
  const left = () => (now?.exists ? now.ready : first);
  const told = () => `${grouped(left())} of ${grouped(first)} dead letters left`;
  try {
    using _ = showProgress(told, wanted);
    return await run();
  } finally {
    leave();
  }
}

function rateOf(text: string): number {
  const rate = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (rate > 0 && rate <= RATE_MAX) return rate;
  throw new UsageError(`--rate is so many a second, up to ${RATE_MAX}, not "${text}".`);
}

/** What all pairs say together; several ids are those that are meant. */
function whereOf(pairs: readonly string[]): Where {
  const ids: string[] = [];
  const headers: Record<string, string> = {};
  let reason: DeathReason | undefined;
  for (const pair of pairs) {
    const [name, value] = splitPair(pair, "--where");
    if (name === "id") ids.push(value);
    else if (name === "reason") reason = value as DeathReason;
    else if (name.startsWith(HEADER)) headers[name.slice(HEADER.length)] = value;
    else throw new UsageError(`--where knows id, reason and header.NAME, not "${name}".`);
  }
  return {
    ...(ids.length && { ids }),
    ...(reason !== undefined && { reason }),
    ...(Object.keys(headers).length && { headers }),
  };
}
