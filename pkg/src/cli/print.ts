import process from "node:process";
import { inspect } from "node:util";

import type { HubLogEntry } from "../hub/log.js";

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** One object a line. What JSON does not have is told as text, and bytes as base64. */
export function printJson(value: object): void {
  printLine(JSON.stringify(value, plain));
}

function plain(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const given = this[key];
  if (given instanceof Uint8Array) return { base64: btoa(String.fromCharCode(...given)) };
  return typeof value === "bigint" ? String(value) : value;
}

/** A body for people: text and bytes as they are. */
export function readable(body: unknown): string {
  if (typeof body === "string") return body;
  if (body instanceof Uint8Array) return new TextDecoder().decode(body);
  return inspect(body, { breakLength: Infinity });
}

/** An entry of the log of a hub for people. */
export function logLine({ level, event, ...rest }: HubLogEntry, now: Date): string {
  const known = Object.entries(rest).filter(([, value]) => value !== undefined);
  const details = known.map(([name, value]) => {
    const text = String(value);
    return `${name}=${/^[\w.:/-]+$/.test(text) ? text : JSON.stringify(text)}`;
  });
  return [now.toISOString(), level, event, ...details].join(" ");
}
