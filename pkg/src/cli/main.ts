import { readFile } from "node:fs/promises";
import process from "node:process";

import { isTabmqError } from "../errors.js";
import { MESSAGE_COMMANDS } from "./messages.js";
import { printLine } from "./print.js";
import { serve, SERVE_OPTIONS } from "./serve.js";
import { MESSAGE_USAGE, SERVE_USAGE, USAGE } from "./usage.js";
import { parse, UsageError } from "./words.js";

const FAILED = 1;
const MISUSED = 2;

/** Runs a command and resolves with the code of the process. */
export async function run(words: readonly string[]): Promise<number> {
  // Whoever reads no more, as `head` does, has what it wanted.
  process.stdout.on("error", ({ code }) => process.exit(code === "EPIPE" ? 0 : FAILED));
  try {
    await command(words);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) return fail(error.message, MISUSED);
    if (!isTabmqError(error)) throw error;
    return fail(`${error.code}: ${error.message}`, error.code === "INVALID" ? MISUSED : FAILED);
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
  const known = MESSAGE_COMMANDS.get(words.slice(0, length).join(" "));
  const wants_help = words.includes("--help");
  if (wants_help && (known || name === "queue")) return print(MESSAGE_USAGE);
  if (known) return known(words.slice(length));
  const what = name === undefined ? "No command is given" : `There is no command "${name}"`;
  throw new UsageError(`${what}; tabmq --help lists them.`);
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
