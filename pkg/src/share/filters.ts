/** The first word of topics on which only a node speaks: a wildcard does not stand for it. */
export const SYSTEM = "$tabmq";

/** As `Limits::name_bytes_max` and `topic_words_max`, if the bus has no others. */
export interface FilterLimits {
  readonly name_bytes_max?: number;
  readonly topic_words_max?: number;
}

const CONTROL = /\p{Cc}/u;

/** Why this is no filter, as in src/topic/name.rs; `undefined` if it is one. */
export function faultOf(value: unknown, limits: FilterLimits): string | undefined {
  const { name_bytes_max = 255, topic_words_max = 32 } = limits;
  if (typeof value !== "string") return "is no string";
  if (CONTROL.test(value)) return "has control characters";
  if (new TextEncoder().encode(value).length > name_bytes_max) return "is too long";
  const words = value.split(".");
  if (words.includes("")) return "has an empty word";
  return words.length > topic_words_max ? "has too many words" : undefined;
}

/** Wildcards, and other words with a mark before them that no wildcard has. */
const filterWords = (filter: string) =>
  filter.split(".").map((word) => (word === "*" || word === "#" ? word : `=${word}`));
const nameWords = (name: string) => name.split(".").map((word) => `=${word}`);

const isSystem = (text: string) => text.split(".", 1)[0] === SYSTEM;

/** Whether the filter stands for the name, which may be no topic. */
export function fits(filter: string, name: string): boolean {
  return isSystem(filter) === isSystem(name) && meet(filterWords(filter), nameWords(name));
}

/** Whether there is a topic for which both filters stand. */
export function canMeet(filter: string, other: string): boolean {
  return isSystem(filter) === isSystem(other) && meet(filterWords(filter), filterWords(other));
}

/**
 * Whether the filter stands for all that the other one does. Never true by mistake; as in
 * src/topic/cover.rs it may be false though it is so, where a `#` has to be taken in several ways.
 */
export function covers(filter: string, other: string): boolean {
  if (isSystem(filter) !== isSystem(other)) return false;
  const [ours, theirs] = [filterWords(filter), filterWords(other)];
  return table(ours, theirs, (our, their, { here, behind, next, both }) => {
    if (our === "#") return behind || (their !== undefined && next);
    if (our === undefined || their === undefined) return our === their && here;
    // None of theirs, or one and then any number again.
    if (their === "#") return our === "*" && next && behind;
    return (our === "*" || our === their) && both;
  });
}

function meet(ours: readonly string[], theirs: readonly string[]): boolean {
  return table(ours, theirs, (our, their, { here, behind, next, both }) => {
    if (our === "#") return behind || (their !== undefined && next);
    if (their === "#") return next || (our !== undefined && behind);
    if (our === undefined || their === undefined) return our === their && here;
    return (our === "*" || their === "*" || our === their) && both;
  });
}

/** What is known of what is left behind two words. */
interface Rest {
  /** Nothing is left of either. */
  readonly here: boolean;
  /** Without our word. */
  readonly behind: boolean;
  /** Without theirs. */
  readonly next: boolean;
  /** Without both. */
  readonly both: boolean;
}

/** Asks of each pair of places, from the ends on, so each is asked once. */
function table(
  ours: readonly string[],
  theirs: readonly string[],
  ask: (our: string | undefined, their: string | undefined, rest: Rest) => boolean,
): boolean {
  let below: boolean[] = [];
  for (let i = ours.length; i >= 0; i -= 1) {
    const row: boolean[] = [];
    for (let j = theirs.length; j >= 0; j -= 1) {
      row[j] = ask(ours[i], theirs[j], {
        here: i === ours.length && j === theirs.length,
        behind: below[j] ?? false,
        next: row[j + 1] ?? false,
        both: below[j + 1] ?? false,
      });
    }
    below = row;
  }
  return below[0] as boolean;
}
