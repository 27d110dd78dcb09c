import { RemoteError, isTabmqError } from "tabmq";

const TIME = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const COUNT = new Intl.NumberFormat("en-US");

export function timeOf(at: Date): string {
  return TIME.format(at);
}

export function countOf(value: number): string {
  return COUNT.format(value);
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${countOf(value)} ${value === 1 ? one : many}`;
}

export function millisecondsOf(value_ms: number): string {
  if (value_ms < 10) return `${value_ms.toFixed(1)} ms`;
  if (value_ms < 1000) return `${Math.round(value_ms)} ms`;
  return `${(value_ms / 1000).toFixed(1)} s`;
}

/** One line of JSON, cut where it gets long. */
export function shortJson(value: unknown, characters_max = 80): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    text = String(value);
  }
  return text.length > characters_max ? `${text.slice(0, characters_max - 1)}\u2026` : text;
}

/** What went wrong, with the code where there is one. */
export function errorText(error: unknown): string {
  if (isTabmqError(error, "MIXED_HOMES")) {
    return `${error.code}: ${error.message}. Share both with the hub, or neither`;
  }
  if (isTabmqError(error)) return `${error.code}: ${error.message}`;
  if (error instanceof RemoteError) return `the other side threw ${error.name}: ${error.message}`;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** All of it, in lines. */
export function longJson(value: unknown, characters_max = 4000): string {
  let text: string;
  try {
    text = JSON.stringify(value, undefined, 2) ?? String(value);
  } catch {
    text = String(value);
  }
  return text.length > characters_max ? `${text.slice(0, characters_max - 1)}\u2026` : text;
}

export function bytesOf(bytes: number): string {
  if (bytes < 1000) return plural(bytes, "byte");
  if (bytes < 1e6) return `${(bytes / 1000).toFixed(1)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Per second. */
export function rateOf(rate: number): string {
  return rate && rate < 10 ? rate.toFixed(1) : countOf(Math.round(rate));
}
