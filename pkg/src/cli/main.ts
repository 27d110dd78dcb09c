import { readFile } from "node:fs/promises";
import process from "node:process";

import { type Code, isTabmqError } from "../errors.js";
import { bench } from "./bench.js";
import { call } from "./call.js";
import { inspect } from "./inspect.js";
import { peek, pub, send, sub, work } from "./messages.js";
import { printLine } from "./print.js";
import { redrive } from "./redrive.js";
import { serve, SERVE_OPTIONS } from "./serve.js";
import { QUEUE_USAGE, SERVE_USAGE, USAGE, USAGES } from "./usage.js";
import { FailedError, parse, UsageError } from "./words.js";

const FAILED = 1;
const MISUSED = 2;
/** Codes of what can't be done however often it is tried. */
const IMPOSSIBLE = new Set<Code>(["INVALID", "NOT_FOUND", "UNSUPPORTED"]);

/** What speaks to a hub. Each rejects with `UsageError` or with what tabmq refuses. */
const COMMANDS: { readonly [name in keyof typeof USAGES]: Command } = {
  pub,
  sub,
  "queue send": send,
  "queue work": work,
  "queue peek": peek,
  "queue redrive": redrive,
  call,
  inspect,
  bench,
};

type Command = (words: readonly string[]) => Promise<void>;

/** Runs a command and resolves with the code of the process. */
export async function run(words: readonly string[]): Promise<number> {
  // Whoever reads no more, as `head` does, has what it wanted.
  process.stdout.on("error", ({ code }) => process.exit(code === "EPIPE" ? 0 : FAILED));
  try {
    await command(words);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) return fail(error.message, MISUSED);
    if (error instanceof FailedError) return fail(error.message, FAILED);
    if (!isTabmqError(error)) throw error;
    const { code, message } = error;
    return fail(`${code}: ${message}`, IMPOSSIBLE.has(code) ? MISUSED : FAILED);
  }
}

async function command(words: readonly string[]): Promise<void> {
  const [name, ...rest] = words;
  if (name === "--help" || name === "-h" || name === "help") return print(USAGE);
  if (name === "--version" || name === "-v") return printLine(await version());
  if (name === "serve") {
    const { options } = parse(rest, SERVE_OPTIONS, [0, 0]);
    return options.help ? print(SERVE_USAGE) : serve(options, await version());
  }
  const length = name === "queue" ? 2 : 1;
  const known = words.slice(0, length).join(" ");
  if (isCommand(known)) {
    const more = words.slice(length);
    return asksForHelp(more) ? print(USAGES[known]) : COMMANDS[known](more);
  }
  if (name === "queue" && asksForHelp(rest)) return print(QUEUE_USAGE);
  const what = name === undefined ? "No command is given" : `There is no command "${name}"`;
  throw new UsageError(`${what}; tabmq --help lists them.`);
}

function isCommand(name: string): name is keyof typeof COMMANDS {
  return Object.hasOwn(COMMANDS, name);
}

/** Behind `--` there are no options. */
function asksForHelp(words: readonly string[]): boolean {
  const end = words.indexOf("--");
  return words.slice(0, end < 0 ? undefined : end).includes("--help");
}

function print(text: string): void {
  process.stdout.write(text);
}

function fail(sentence: string, code: number): number {
  process.stderr.write(`tabmq: ${sentence}\n`);
  return code;
}

async function version(): Promise<string> {
  const manifest = await readFile(new URL("../package.json", import.meta.url));
  const { version: text } = JSON.parse(new TextDecoder().decode(manifest)) as { version: string };
  return text;
}
