import { invalid } from "../errors.js";
import type { WasmSource } from "../types.js";
import { FAULTS, SAFETY_RULES } from "./faults.generated.js";
import type { SeedReport } from "./report.js";
import { SCENARIO_FAULTS, type ScenarioFault, type ScenarioOptions } from "./world/scenario.js";
import type { CheckedScenario } from "./world/run.js";

/** What the number of a kind of fault counts; `others` follow from others and have no number. */
export type FaultPer = "operation" | "moment" | "run" | "others";
type KindsPer<Per extends FaultPer> = {
  [Kind in keyof typeof FAULTS]: (typeof FAULTS)[Kind] extends Per ? Kind : never;
}[keyof typeof FAULTS];
/** A kind of fault, as `FAULTS` lists them. */
export type FaultKind = keyof typeof FAULTS;
/** A rule that a run may go without, as `SAFETY_RULES` lists them. */
export type SafetyRule = keyof typeof SAFETY_RULES;

/** The highest number of each sort of fault. Where more goes wrong, nothing is promised. */
export const FAULT_PER_MILLE_MAX = { operation: 100, moment: 1000, run: 1000, others: 0 } as const;

/**
 * How often kinds of faults occur, in whole thousandths: of messages or writes for those that
 * `FAULTS` counts per `operation`, of the moments at which one fault may come per `moment`; per
 * `run`, any number but 0 lets it occur. Kinds that are not named follow the plan of the seed.
 */
export type Faults = { readonly [Kind in KindsPer<"operation" | "moment" | "run">]?: number };

export interface SimulationOptions {
  /** A whole number from 0 to 2^53 - 1. The same seed and options give the same report. */
  readonly seed: number;
  /** How many seeds, from `seed` on. 1 unless given, 1,000,000 at most. */
  readonly seeds?: number;
  /** Inputs of clients and nodes, with verbs, after which the faults of a seed end; 2000 unless
   * given, 1,000,000 at most. More happen until all that is open has ended. */
  readonly inputs?: number;
  readonly faults?: Faults;
  /** Leaves a safety rule out, to see a checker notice. */
  readonly without?: SafetyRule;
  /** Told after each seed. */
  readonly onSeed?: (report: SeedReport) => void;
  /** Ends the run between two seeds, with the reason of the signal. */
  readonly signal?: AbortSignal;
  /** Where the module of the simulator comes from, if not from beside the package. */
  readonly wasm?: WasmSource;
}

export interface CheckedSimulation {
  readonly seed: number;
  readonly seeds: number;
  readonly inputs: number | undefined;
  readonly faults: readonly (readonly [kind: string, perMille: number])[];
  readonly without: string | undefined;
}

const SEEDS_MAX = 1_000_000;
const INPUTS_MAX = 1_000_000;
const NAMES = new Set([
  "seed",
  "seeds",
  "inputs",
  "faults",
  "without",
  "onSeed",
  "signal",
  "wasm",
]);

/** Throws `INVALID` with the option as `data.name`. */
export function checkSimulation(options: SimulationOptions): CheckedSimulation {
  if (typeof options !== "object" || options === null)
    throw invalid("simulate: options must be an object");
  for (const name of Object.keys(options))
    if (!NAMES.has(name)) throw invalid(`there is no simulate option "${name}"`, name);
  const { seeds = 1, inputs, faults = {}, without, onSeed, signal } = options;
  const seed = whole(options.seed, "seed", 0, Number.MAX_SAFE_INTEGER);
  whole(seeds, "seeds", 1, SEEDS_MAX);
  if (seed > Number.MAX_SAFE_INTEGER - (seeds - 1))
    throw invalid("the last seed is above 2^53 - 1", "seeds");
  if (inputs !== undefined) whole(inputs, "inputs", 1, INPUTS_MAX);
  if (without !== undefined && !Object.hasOwn(SAFETY_RULES, without))
    throw invalid(`there is no safety rule "${without}"`, "without");
  if (onSeed !== undefined && typeof onSeed !== "function")
    throw invalid("onSeed must be a function", "onSeed");
  if (signal !== undefined && typeof signal?.addEventListener !== "function")
    throw invalid("signal must be an AbortSignal", "signal");
  return { seed, seeds, inputs, faults: checkFaults(faults), without };
}

const SCENARIO_NAMES = new Set(["seed", "tabs", "faults", "killAt", "virtualMsMax", "wasm"]);
const TABS_MAX = 16;

/** Throws `INVALID` with the option as `data.name`. */
export function checkScenario(options: ScenarioOptions, scenario: unknown): CheckedScenario {
  if (typeof scenario !== "function") throw invalid("the scenario must be a function", "scenario");
  if (typeof options !== "object" || options === null)
    throw invalid("simulate: options must be an object");
  for (const name of Object.keys(options))
    if (!SCENARIO_NAMES.has(name)) throw invalid(`there is no scenario option "${name}"`, name);
  const { tabs = 2, faults = {}, killAt, virtualMsMax } = options;
  const seed = whole(options.seed, "seed", 0, Number.MAX_SAFE_INTEGER);
  whole(tabs, "tabs", 1, TABS_MAX);
  if (typeof faults !== "object" || faults === null)
    throw invalid("faults must be an object", "faults");
  for (const [kind, perMille] of Object.entries(faults)) {
    const name = `faults.${kind}`;
    if (!Object.hasOwn(SCENARIO_FAULTS, kind)) throw invalid(`no page meets "${kind}"`, name);
    if (perMille === undefined) continue;
    whole(perMille, name, 0, FAULT_PER_MILLE_MAX[SCENARIO_FAULTS[kind as ScenarioFault]]);
  }
  if (killAt !== undefined) {
    whole(killAt?.tab, "killAt.tab", 0, tabs - 1);
    whole(killAt?.step, "killAt.step", 1, Number.MAX_SAFE_INTEGER);
  }
  if (virtualMsMax !== undefined) whole(virtualMsMax, "virtualMsMax", 1, Number.MAX_SAFE_INTEGER);
  return {
    seed,
    tabs,
    faults,
    ...(killAt && { killAt }),
    ...(virtualMsMax !== undefined && { virtualMsMax }),
  };
}

function checkFaults(faults: Faults): CheckedSimulation["faults"] {
  if (typeof faults !== "object" || faults === null)
    throw invalid("faults must be an object", "faults");
  const given = Object.entries(faults).filter(([, perMille]) => perMille !== undefined);
  for (const [kind, perMille] of given) {
    const name = `faults.${kind}`;
    if (!Object.hasOwn(FAULTS, kind)) throw invalid(`there is no fault "${kind}"`, name);
    const per = FAULTS[kind as FaultKind];
    if (per === "others")
      throw invalid(`"${kind}" follows from other faults and can't be set`, name);
    whole(perMille, name, 0, FAULT_PER_MILLE_MAX[per]);
  }
  return given;
}

function whole(value: unknown, name: string, least: number, most: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most)
    return value as number;
  throw invalid(`${name} must be a whole number from ${least} to ${most}`, name);
}
