import { parseArgs } from "node:util";

/** What somebody wrote can't be done; the message is one sentence. */
export class UsageError extends Error {}

/** What could be asked for has failed; the message is one sentence. */
export class FailedError extends Error {}

const KINDS = { text: "string", texts: "string", flag: "boolean" } as const;
type Kinds = Readonly<Record<string, keyof typeof KINDS>>;
type Value = { text: string | undefined; texts: readonly string[]; flag: boolean };
export type Values<K extends Kinds> = { readonly [name in keyof K]: Value[K[name]] };

/** The options among the words of a command, and the others, of which there are so many. */
export function parse<const K extends Kinds>(
  words: readonly string[],
  kinds: K,
  [least, most]: readonly [number, number],
): { options: Values<K>; operands: readonly string[] } {
  const options = Object.fromEntries(
    Object.entries(kinds).map(([name, kind]) => [
      name,
      { type: KINDS[kind], multiple: kind === "texts" },
    ]),
  );
  const { values, positionals } = parsed(words, options);
  if (positionals.length < least) throw new UsageError("A word is missing.");
  if (positionals.length > most)
    throw new UsageError(`"${positionals[most]}" is one word too many.`);
  const none = { text: undefined, texts: [], flag: false };
  const all = Object.entries(kinds).map(([name, kind]) => [name, values[name] ?? none[kind]]);
  return { options: Object.fromEntries(all) as Values<K>, operands: positionals };
}

function parsed(args: readonly string[], options: Parameters<typeof parseArgs>[0]["options"]) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    // What follows the first sentence is advice for other cases.
    const [sentence = ""] = (error as Error).message.split(/\. |\n/);
    throw new UsageError(`${sentence.replace(/\.$/, "")}.`);
  }
}

/** A whole number from 0 to `max`. */
export function wholeNumber(text: string, name: string, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value <= max) return value;
  throw new UsageError(`${name} must be a whole number up to ${max}, not "${text}".`);
}

/** What an option gives that is like name=value. */
export function splitPair(pair: string, name: string): [string, string] {
  const at = pair.indexOf("=");
  if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)];
  throw new UsageError(`${name} is like name=value, not "${pair}".`);
}
