import { makeGlue } from "virtual:sim-glue";

import { compile } from "../compile.js";
import { TabmqError } from "../errors.js";
import type { WasmSource } from "../types.js";
import { FAULTS } from "./faults.generated.js";
import type { FaultKind } from "./options.js";

/** One run, as src/js/simulator.rs has it. */
export type SimulateSeed = (
  seed: number,
  inputs: number | undefined,
  kinds: string[],
  perMille: Uint32Array,
  without: string | undefined,
) => RawReport;

/** A stream of chance, as src/js/simulator.rs has it. */
export interface Chance {
  between(first: number, last: number): number;
  fill(bytes: Uint8Array): void;
}
export type ChanceConstructor = new (seed: number, stream: number) => Chance;

/** The hash of all that happens in a world. */
export interface History {
  add(what: string, bytes: Uint8Array): void;
  digest(): string;
}
export type HistoryConstructor = new () => History;

export interface SimulatorModule {
  readonly simulateSeed: SimulateSeed;
  readonly Chance: ChanceConstructor;
  readonly History: HistoryConstructor;
}

export interface RawReport {
  readonly seed: number;
  readonly hash: string;
  readonly tabs: number;
  readonly steps: number;
  readonly virtualMs: number;
  readonly faults: Record<FaultKind, number>;
  readonly counts: Record<string, number>;
  readonly findings: readonly { readonly checker: string; readonly what: string }[];
}

let defaultSource: () => WasmSource;
let pageSource: () => WasmSource;
let pageModule: Promise<WebAssembly.Module> | undefined;
let modules: Promise<WebAssembly.Module> | undefined;
let current: Promise<SimulatorModule> | undefined;

/** Each entry of the package tells where the two modules lie in its runtime. */
export function setDefaultSources(ofSimulator: () => WasmSource, ofPages: () => WasmSource): void {
  defaultSource = ofSimulator;
  pageSource = ofPages;
}

/** The module that pages load, compiled once. A failed attempt is forgotten. */
export function moduleOfPages(source: WasmSource | undefined): Promise<WebAssembly.Module> {
  pageModule ??= compile(source ?? pageSource()).catch((error: unknown) => {
    pageModule = undefined;
    throw new TabmqError("UNAVAILABLE", `tabmq can't be loaded: ${String(error)}`, {
      cause: error,
    });
  });
  return pageModule;
}

/** The simulator, loaded at the first call. A failed attempt is forgotten. */
export function simulator(source: WasmSource | undefined): Promise<SimulatorModule> {
  current ??= instantiate(source).catch((error: unknown) => {
    current = undefined;
    throw new TabmqError("UNAVAILABLE", `the simulator can't be loaded: ${String(error)}`, {
      cause: error,
    });
  });
  return current;
}

async function instantiate(source: WasmSource | undefined): Promise<SimulatorModule> {
  modules ??= compile(source ?? defaultSource()).catch((error: unknown) => {
    modules = undefined;
    throw error;
  });
  const module = await modules;
  const glue = makeGlue((exports) => exports);
  glue.finish(await WebAssembly.instantiate(module, glue.imports), module);
  const { Chance, History } = glue;
  const simulateSeed: SimulateSeed = (seed, ...rest) => {
    try {
      return glue.simulateSeed(seed, ...rest);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      // The module is done for. What it found is a finding like any other.
      current = undefined;
      return panicked(seed, glue.lastPanic() || String(error));
    }
  };
  return { simulateSeed, Chance, History };
}

function panicked(seed: number, what: string): RawReport {
  const faults = Object.fromEntries(Object.keys(FAULTS).map((kind) => [kind, 0]));
  return {
    seed,
    hash: "0".repeat(16),
    tabs: 0,
    steps: 0,
    virtualMs: 0,
    faults: faults as Record<FaultKind, number>,
    counts: {},
    findings: [{ checker: "no-panic", what }],
  };
}
