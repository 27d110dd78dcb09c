import type { FaultKind } from "./options.js";

/** A promise that was broken. */
export interface Finding {
  readonly seed: number;
  /** Who noticed; `no-panic` if the core itself gave up. */
  readonly checker: string;
  readonly what: string;
  /** The command that shows all that happened, in a checkout of tabmq. */
  readonly replay: string;
}

/** What one seed did. */
export interface SeedReport {
  readonly seed: number;
  /** Of everything that clients, nodes and the disk put out, as 16 hexadecimal digits. */
  readonly hash: string;
  readonly tabs: number;
  /** Until its end, or until the first finding. */
  readonly steps: number;
  /** Inputs of clients and nodes, and verbs. */
  readonly inputs: number;
  /** Messages whose send was confirmed; each was followed to its end. */
  readonly messages: number;
  /** Nodes that served, one after the other. */
  readonly epochs: number;
  readonly virtualMs: number;
  /** How often each kind of fault occurred. */
  readonly faults: Readonly<Record<FaultKind, number>>;
  /** What else was counted, by the names that `cargo xtask sim` prints. */
  readonly counts: Readonly<Record<string, number>>;
  /** None if all promises were kept; a run ends with the first. */
  readonly findings: readonly Finding[];
}

/** What all seeds of a run did together. */
export interface SimulationReport {
  readonly seed: number;
  readonly seeds: number;
  readonly inputs: number;
  readonly messages: number;
  readonly epochs: number;
  readonly virtualMs: number;
  readonly faults: Readonly<Record<FaultKind, number>>;
  readonly findings: readonly Finding[];
  /** The report of each seed, in their order. */
  readonly reports: readonly SeedReport[];
}

export function sumUp(seed: number, reports: readonly SeedReport[]): SimulationReport {
  const sum = (count: (report: SeedReport) => number) =>
    reports.reduce((total, report) => total + count(report), 0);
  const kinds = Object.keys(reports[0]?.faults ?? {}) as FaultKind[];
  return {
    seed,
    seeds: reports.length,
    inputs: sum(({ inputs }) => inputs),
    messages: sum(({ messages }) => messages),
    epochs: sum(({ epochs }) => epochs),
    virtualMs: sum(({ virtualMs }) => virtualMs),
    faults: Object.fromEntries(
      kinds.map((kind) => [kind, sum(({ faults }) => faults[kind])]),
    ) as Record<FaultKind, number>,
    findings: reports.flatMap(({ findings }) => findings),
    reports,
  };
}
