// The simulator of the package: a seed, sliders for faults, and what the checkers found.
import type { Finding, SafetyRule, SeedReport, SimulationOptions } from "tabmq/sim";
import { SAFETY_RULES } from "tabmq/sim";

import { byId, make, onSubmit, setText, textOf } from "./dom";
import { FaultSliders } from "./fault-sliders";
import { readFields, readNumber } from "./fields";
import { countOf, millisecondsOf, plural } from "./format";
import type { SimulatorNews } from "./simulator.worker";

const FINDINGS_MAX = 20;

export function mountSimulator(): void {
  void new Simulator();
}

/** Sums over the seeds that have run. */
class Sums {
  seeds = 0;
  readonly findings: Finding[] = [];
  readonly #started = performance.now();
  readonly #counts = { messages: 0, inputs: 0, epochs: 0, virtualMs: 0 };
  #faults: Record<string, number> = {};

  add(report: SeedReport): void {
    this.seeds += 1;
    this.findings.push(...report.findings);
    for (const name of ["messages", "inputs", "epochs", "virtualMs"] as const) {
      this.#counts[name] += report[name];
    }
    for (const [kind, count] of Object.entries(report.faults)) {
      this.#faults[kind] = (this.#faults[kind] ?? 0) + count;
    }
  }

  get faults(): SeedReport["faults"] {
    return this.#faults as SeedReport["faults"];
  }

  get facts(): readonly (readonly [string, string])[] {
    const { messages, inputs, epochs, virtualMs } = this.#counts;
    const faults = Object.values(this.#faults).reduce((sum, count) => sum + count, 0);
    return [
      ["Seeds", countOf(this.seeds)],
      ["Messages followed", countOf(messages)],
      ["Inputs", countOf(inputs)],
      ["Faults", countOf(faults)],
      ["Hosts in turn", countOf(epochs)],
      ["Virtual time", `${countOf(Math.round(virtualMs / 1000))} s`],
      ["Took", millisecondsOf(performance.now() - this.#started)],
    ];
  }
}

class Simulator {
  readonly #form = byId("simulate", HTMLFormElement);
  readonly #answer = byId("simulate-answer", HTMLElement);
  readonly #rule = byId("simulate-without", HTMLSelectElement);
  readonly #stop = byId("simulate-stop", HTMLButtonElement);
  readonly #progress = byId("simulated-progress", HTMLProgressElement);
  readonly #verdict = byId("simulated-verdict", HTMLElement);
  readonly #sliders = new FaultSliders();
  #worker: Worker | undefined;
  #sums = new Sums();

  constructor() {
    for (const rule of Object.keys(SAFETY_RULES)) {
      const option = make("option", "", rule.replaceAll("_", " "));
      option.value = rule;
      this.#rule.append(option);
    }
    this.#rule.addEventListener("change", () => {
      const rule = this.#rule.value as SafetyRule | "";
      setText(byId("rule-text", HTMLElement), rule && `Left out: ${SAFETY_RULES[rule]}`);
    });
    onSubmit(this.#form, () => {
      setText(this.#answer, "");
      const options = readFields(this.#form, this.#answer, () => this.#read());
      if (options) this.#run(options);
    });
    this.#stop.addEventListener("click", () => this.#end("Stopped."));
  }

  #read(): SimulationOptions {
    const number = (name: string, what: string) => readNumber(this.#form, name, what);
    const without = textOf(this.#form, "without") as SafetyRule | "";
    const inputs = number("inputs", "The inputs");
    return {
      seed: number("seed", "The seed"),
      seeds: number("seeds", "The seeds"),
      // What a seed has unless it is told, so that the command to replay it stays short.
      ...(inputs === 2000 ? {} : { inputs }),
      faults: this.#sliders.faults,
      ...(without ? { without } : {}),
    };
  }

  #run(options: SimulationOptions): void {
    this.#worker?.terminate();
    const worker = new Worker(new URL("./simulator.worker.ts", import.meta.url), {
      type: "module",
    });
    this.#worker = worker;
    this.#sums = new Sums();
    this.#stop.disabled = false;
    this.#progress.max = options.seeds ?? 1;
    this.#progress.value = 0;
    byId("simulated", HTMLElement).hidden = false;
    byId("findings", HTMLElement).replaceChildren();
    byId("simulated-facts", HTMLElement).replaceChildren();
    this.#sliders.count(undefined);
    this.#say("running", "Running.");
    worker.addEventListener("message", ({ data }: MessageEvent<SimulatorNews>) => {
      if (data.kind === "seed") this.#add(data.report);
      else this.#end(data.kind === "failed" ? data.text : "");
    });
    worker.addEventListener("error", ({ message }) => this.#end(message || "The worker failed."));
    worker.postMessage(options);
  }

  #add(report: SeedReport): void {
    const sums = this.#sums;
    sums.add(report);
    this.#progress.value = sums.seeds;
    const pairs = sums.facts.map(([name, value]) =>
      make("div", "", make("dt", "", name), make("dd", "", value)),
    );
    byId("simulated-facts", HTMLElement).replaceChildren(...pairs);
    this.#sliders.count(sums.faults);
    if (sums.findings.length > FINDINGS_MAX) return;
    byId("findings", HTMLElement).append(...report.findings.map(showFinding));
  }

  /** `why` is empty if all seeds have run. */
  #end(why: string): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#stop.disabled = true;
    const { seeds, findings } = this.#sums;
    if (why) setText(this.#answer, why);
    if (findings.length) {
      const broken = plural(findings.length, "seed");
      this.#say("broken", `${broken} of ${countOf(seeds)} broke a promise.`);
    } else if (seeds) this.#say("kept", `All promises were kept in ${plural(seeds, "seed")}.`);
    else this.#say("none", "No seed has run to its end.");
  }

  #say(kind: string, text: string): void {
    this.#verdict.dataset.kind = kind;
    setText(this.#verdict, text);
  }
}

function showFinding({ seed, checker, what, replay }: Finding): HTMLElement {
  const note = make("span", "row-note", what);
  const head = make("p", "row", make("code", "", `seed ${seed}: ${checker}`), note);
  head.dataset.kind = "error";
  return make("li", "finding", head, make("pre", "", replay));
}
