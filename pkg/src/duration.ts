import { invalid } from "./errors.js";

/** Milliseconds, or a number with its unit: `"250ms"`, `"5s"`, `"1.5h"`. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** In milliseconds, at least 0. `name` is what an error calls it. */
export function milliseconds(duration: unknown, name: string): number {
  const [, amount, unit] =
    typeof duration === "string" ? (/^(\d+(?:\.\d+)?)(ms|[smhd])$/.exec(duration) ?? []) : [];
  const value = unit ? Number(amount) * (UNIT_MS[unit] ?? Number.NaN) : duration;
  if (typeof value === "number" && value >= 0) return value;
  throw invalid(`${name} is no duration: ${String(duration)}`, name);
}
