import { cpus } from "node:os";
import process from "node:process";

import type { Bus, Durability, Queue } from "../types.js";
import { COMMON, open, patience } from "./connection.js";
import { Histogram } from "./histogram.js";
import { printJson, printLine } from "./print.js";
import { grouped, showProgress } from "./progress.js";
import { onSignal } from "./signals.js";
import { parse, UsageError, type Values, wholeNumber } from "./words.js";

const BENCH = {
  ...COMMON,
  seconds: "text",
  size: "text",
  "in-flight": "text",
  durability: "text",
} as const;

const SECONDS_MAX = 3600;
const BYTES_MAX = 1_000_000;
const IN_FLIGHT_MAX = 10_000;
const LEVELS: readonly string[] = ["memory", "relaxed", "strict"] satisfies Durability[];
/** What a process leaves that is killed goes by itself after so long. */
const LEFT_OVER_MS = 60_000;

interface Load {
  readonly seconds: number;
  readonly size: number;
  readonly in_flight: number;
  readonly durability: Durability | undefined;
}

/** What came of one kind of work. */
interface Measured {
  readonly count: number;
  readonly per_second: number;
  readonly median_ms: number;
  readonly p99_ms: number;
}

/** Sends, takes and calls for a while, and prints how much came of it. */
export async function bench(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, BENCH, [1, 1]);
  const [name = ""] = operands;
  const load = loadOf(options);
  await using bus = await open(name, options);
  const stop = new AbortController();
  onSignal(() => stop.abort());
  const own = `tabmq-bench.${crypto.randomUUID()}`;
  const queue = bus.queue<Uint8Array>(own, {
    deadLetter: false,
    ttl: (load.seconds * 3000 + LEFT_OVER_MS) as never,
    autoDelete: LEFT_OVER_MS as never,
  });
  await queue.ready(patience(options));
  const run = new Run(load, stop.signal, options.progress);
  try {
    const results = {
      send: await run.measure("sends", sending(queue, load)),
      receive: await receiving(queue, load, run),
      call: await calling(bus, own, load, run),
    };
    print(results, load, bus, options.json);
  } finally {
    await queue.delete(patience(options));
  }
}

/** Does one piece of work. False: there is no more. */
type Work = () => Promise<boolean>;

class Run {
  readonly stop: AbortSignal;
  readonly #load: Load;
  readonly #progress: boolean;

  constructor(load: Load, stop: AbortSignal, progress: boolean) {
    this.#load = load;
    this.stop = stop;
    this.#progress = progress;
  }

  /** So much at a time, until the time is over or there is no more work. */
  async measure(what: string, work: Work): Promise<Measured> {
    const histogram = new Histogram();
    const started = performance.now();
    const past = () => (performance.now() - started) / 1000;
    const told = () => `${what}: ${past().toFixed(0)} s, ${grouped(histogram.count)}`;
    using _ = showProgress(told, this.#progress);
    const worker = async () => {
      while (past() < this.#load.seconds && !this.stop.aborted) {
        const began = performance.now();
        if (!(await work())) return;
        histogram.add(performance.now() - began);
      }
    };
    await Promise.all(Array.from({ length: this.#load.in_flight }, worker));
    const { count } = histogram;
    return {
      count,
      per_second: Math.round(count / past()),
      median_ms: rounded(histogram.quantile(0.5)),
      p99_ms: rounded(histogram.quantile(0.99)),
    };
  }
}

function sending(queue: Queue<Uint8Array>, { size, durability }: Load): Work {
  const body = new Uint8Array(size);
  const how = { confirm: "hub" as const, ...(durability !== undefined && { durability }) };
  return async () => {
    await queue.send(body, how);
    return true;
  };
}

/** Each piece is one delivery, from the wait for it to the answer to its acknowledgement. */
async function receiving(
  queue: Queue<Uint8Array>,
  { in_flight }: Load,
  run: Run,
): Promise<Measured> {
  let left = (await queue.info()).ready;
  await using consumer = queue.consume({ prefetch: in_flight, signal: run.stop });
  const deliveries = consumer[Symbol.asyncIterator]();
  return await run.measure("receives", async () => {
    if (left <= 0) return false;
    left -= 1;
    const { done, value } = await deliveries.next();
    if (done) return false;
    await value.ack();
    return true;
  });
}

/** Of a service of this process: there and back go through the hub. */
async function calling(
  bus: Bus,
  service: string,
  { size, in_flight }: Load,
  run: Run,
): Promise<Measured> {
  await using served = bus.serve<{ echo(body: unknown): unknown }>(
    service,
    { echo: (body) => body },
    { concurrency: in_flight },
  );
  await served.ready();
  const body = new Uint8Array(size);
  return await run.measure("calls", async () => {
    await bus.call(service, "echo", [body]);
    return true;
  });
}

function loadOf(options: Values<typeof BENCH>): Load {
  const { seconds = "5", size = "100", "in-flight": in_flight = "100", durability } = options;
  if (durability !== undefined && !LEVELS.includes(durability))
    throw new UsageError(`--durability is one of ${LEVELS.join(", ")}, not "${durability}".`);
  return {
    seconds: atLeastOne(wholeNumber(seconds, "--seconds", SECONDS_MAX), "--seconds"),
    size: wholeNumber(size, "--size", BYTES_MAX),
    in_flight: atLeastOne(wholeNumber(in_flight, "--in-flight", IN_FLIGHT_MAX), "--in-flight"),
    durability: durability as Durability | undefined,
  };
}

function atLeastOne(value: number, name: string): number {
  if (value < 1) throw new UsageError(`${name} must be at least 1.`);
  return value;
}

const rounded = (time_ms: number) => Number(time_ms.toPrecision(3));

type Results = Readonly<Record<"send" | "receive" | "call", Measured>>;

function print(results: Results, load: Load, bus: Bus, json: boolean): void {
  const [processor] = cpus();
  const machine = {
    node: process.version,
    processor: processor?.model.trim() ?? "unknown",
    processors: cpus().length,
  };
  const { storage, durability } = bus.host.get();
  if (json) return printJson({ ...load, storage, host_durability: durability, machine, results });
  const { seconds, size, in_flight } = load;
  const level = load.durability ?? durability;
  printLine(`${size} bytes, ${in_flight} at a time, ${seconds} s each, ${storage} (${level})`);
  const columns = ["", "count", "per second", "median ms", "p99 ms"];
  printLine(columns.map((title, at) => (at ? title.padStart(11) : title.padEnd(8))).join(""));
  for (const [what, { count, per_second, median_ms, p99_ms }] of Object.entries(results)) {
    const numbers = [grouped(count), grouped(per_second), median_ms, p99_ms];
    printLine(what.padEnd(8) + numbers.map((number) => String(number).padStart(11)).join(""));
  }
  const { processor: model, processors, node } = machine;
  printLine(`This measures this machine (${model}, ${processors} processors, Node.js ${node}),`);
  printLine("its load at this moment and the way to the hub, and no other.");
}
