import { attempt } from "../pending.js";
import { moduleOfPages, simulator } from "./module.js";
import {
  checkScenario,
  checkSimulation,
  type CheckedSimulation,
  type SimulationOptions,
} from "./options.js";
import { type SeedReport, type SimulationReport, sumUp } from "./report.js";
import type {
  CrashOptions,
  CrashReport,
  Scenario,
  ScenarioOptions,
  ScenarioReport,
} from "./world/scenario.js";

/**
 * Runs tabs, nodes and one disk under virtual time and faults, all drawn from a seed, and checks
 * the promises of tabmq against everything that happens.
 *
 * A seed takes a good part of a second and does not give way in it; between seeds the event loop
 * turns. Rejects with `INVALID` for an option, with `UNAVAILABLE` if the module can't be loaded,
 * and with the reason of `signal`.
 */
export function simulate(options: SimulationOptions): Promise<SimulationReport>;
/**
 * Runs a scenario of pages that use tabmq, as one seed has it: each page has the package in a copy
 * of its own, over channels, locks, databases and clocks that are simulated. Virtual time moves
 * only when all that handlers could do at once is done, and nothing waits in real time.
 *
 * What the scenario or a page throws is a finding. Rejects with `INVALID` for an option and with
 * `UNAVAILABLE` if a module can't be loaded.
 */
export function simulate<T>(
  options: ScenarioOptions,
  scenario: Scenario<T>,
): Promise<ScenarioReport<T>>;
export function simulate<T>(
  options: SimulationOptions | ScenarioOptions,
  scenario?: Scenario<T>,
): Promise<SimulationReport | ScenarioReport<T>> {
  if (scenario !== undefined) return play(options as ScenarioOptions, scenario);
  return simulateCore(options as SimulationOptions);
}

/**
 * Runs a scenario again and again, each time with the first page of one tab gone just before
 * another of the things that happen in the world, until every one of them had its turn.
 *
 * Rejects as `simulate` does. Give it a scenario that is over soon: it runs hundreds of times.
 */
export function simulateCrashes<T>(
  options: CrashOptions,
  scenario: Scenario<T>,
): Promise<CrashReport<T>> {
  return attempt(async () => {
    const { tab, ...rest } = options;
    const reports: ScenarioReport<T>[] = [];
    for (let step = 1; ; step += 1) {
      const report = await play({ ...rest, killAt: { tab, step } }, scenario);
      // It ended before that step came: each one before had its turn.
      if ((report.steps[tab] ?? 0) < step) break;
      reports.push(report);
    }
    const failing = reports.findIndex(({ findings }) => findings.length);
    return { runs: reports.length, reports, ...(failing < 0 ? {} : { firstFailing: failing + 1 }) };
  });
}

function play<T>(options: ScenarioOptions, scenario: Scenario<T>): Promise<ScenarioReport<T>> {
  return attempt(async () => {
    const checked = checkScenario(options, scenario);
    const [{ runScenario }, module, pages] = await Promise.all([
      import("virtual:sim-pages"),
      simulator(options.wasm?.simulator),
      moduleOfPages(options.wasm?.tabmq),
    ]);
    return runScenario(checked, scenario, module, pages);
  });
}

function simulateCore(options: SimulationOptions): Promise<SimulationReport> {
  return attempt(async () => {
    const checked = checkSimulation(options);
    const { onSeed, signal, wasm } = options;
    const reports: SeedReport[] = [];
    for (let index = 0; index < checked.seeds; index += 1) {
      signal?.throwIfAborted();
      const report = await simulateSeed(checked.seed + index, checked, wasm);
      reports.push(report);
      onSeed?.(report);
      await turn();
    }
    return sumUp(checked.seed, reports);
  });
}

async function simulateSeed(
  seed: number,
  checked: CheckedSimulation,
  wasm: SimulationOptions["wasm"],
): Promise<SeedReport> {
  const { inputs, faults, without } = checked;
  const { simulateSeed: run } = await simulator(wasm);
  const kinds = faults.map(([kind]) => kind);
  const perMille = Uint32Array.from(faults, ([, number]) => number);
  const raw = run(seed, inputs, kinds, perMille, without);
  const replay = replayOf(seed, checked);
  return {
    ...raw,
    inputs: raw.counts["inputs"] ?? 0,
    messages: raw.counts["confirmed"] ?? 0,
    epochs: raw.counts["nodes_served"] ?? 0,
    findings: raw.findings.map(({ checker, what }) => ({ seed, checker, what, replay })),
  };
}

/** The command that shows all of a run. */
function replayOf(seed: number, { inputs, faults, without }: CheckedSimulation): string {
  const options = [`--seed ${seed}`];
  if (without !== undefined) options.push(`--without ${without}`);
  if (inputs !== undefined) options.push(`--inputs ${inputs}`);
  for (const [kind, perMille] of faults) options.push(`--fault ${kind}=${perMille}`);
  return `cargo xtask sim ${options.join(" ")}`;
}

/** Lets whatever waits in the event loop happen. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
