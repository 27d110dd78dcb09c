import process from "node:process";

import { UsageError } from "./words.js";

/** Of one line of standard input. */
const LINE_CHARACTERS_MAX = 4 * 1024 * 1024;

/** The value that stands there; `what` names it in the error. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${what} is no JSON: ${(error as Error).message}.`);
  }
}

/** A body that was given, or standard input if none was. */
export async function readBody(given: string | undefined, json: boolean): Promise<unknown> {
  const text = given === undefined || given === "-" ? await standardInput() : given;
  return json ? parseJson(text, "The body") : text;
}

export async function standardInput(): Promise<string> {
  let text = "";
  for await (const piece of pieces()) text += piece;
  return text;
}

/** The lines of standard input as they come, without those that are empty. */
export async function* inputLines(): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of pieces()) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() as string;
    if (rest.length > LINE_CHARACTERS_MAX)
      throw new UsageError(`A line is longer than ${LINE_CHARACTERS_MAX} characters.`);
    for (const line of lines.map((each) => each.replace(/\r$/, ""))) if (line) yield line;
  }
  if (rest) yield rest;
}

async function* pieces(): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of process.stdin) yield decoder.decode(chunk, { stream: true });
  yield decoder.decode();
}
