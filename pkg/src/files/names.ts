import { createHash } from "node:crypto";
import { join, resolve } from "node:path";

/** File systems take 255 bytes. */
const NAME_MAX = 200;
const PREFIX_MAX = 150;

const utf8 = new TextEncoder();

/**
 * The folder of one bus and user. No two share one, also where the case of a letter counts for
 * nothing, and nothing in a name leads elsewhere.
 */
export function folderOf(path: string, bus: string, user: string | undefined): string {
  const name = `bus-${escaped(bus)}${user === undefined ? "" : `@${escaped(user)}`}`;
  return join(resolve(path), name.length > NAME_MAX ? shortened(name) : name);
}

function escaped(name: string): string {
  const one = (byte: number) => {
    const character = String.fromCharCode(byte);
    return /[a-z0-9_-]/.test(character) ? character : `%${byte.toString(16).padStart(2, "0")}`;
  };
  return Array.from(utf8.encode(name), one).join("");
}

/** A tilde stands in no other name. */
function shortened(name: string): string {
  const hash = createHash("sha256").update(name).digest("hex");
  return `${name.slice(0, PREFIX_MAX)}~${hash.slice(0, 40)}`;
}

const CLAIM = /^([0-9a-f]{32})\.claim$/;
const SEGMENT = /^([0-9a-f]{32})-([0-9a-f]{8})\.log$/;
const UNFINISHED = /^([0-9a-f]{32})-[0-9a-f]{8}\.log\.new$/;

/** Stands for the placeholder of the log: the room that it takes is given back when it goes. */
export const RESERVE = "reserve";
export const UNFINISHED_SUFFIX = ".new";

export const claimName = (epoch: string) => `${epoch}.claim`;
export const segmentName = (epoch: string, number: number) =>
  `${epoch}-${number.toString(16).padStart(8, "0")}.log`;

/** What lies in the folder, oldest first. */
export interface Listing {
  readonly claims: readonly string[];
  readonly segments: readonly string[];
  readonly unfinished: readonly string[];
  readonly reserve: boolean;
  /** Of claims and segments. */
  readonly epochs: readonly string[];
  /** The newest. */
  readonly epoch: string | undefined;
}

export function sorted(names: readonly string[]): Listing {
  const matching = (pattern: RegExp) => names.filter((name) => pattern.test(name)).sort();
  const [claims, segments] = [matching(CLAIM), matching(SEGMENT)];
  const epochs = [...claims, ...segments].map(epochOf).sort();
  return {
    claims,
    segments,
    unfinished: matching(UNFINISHED),
    reserve: names.includes(RESERVE),
    epochs,
    epoch: epochs.at(-1),
  };
}

export const epochOf = (name: string) => name.slice(0, 32);
