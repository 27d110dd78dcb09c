import type { Account } from "./accounts";
import { Chart } from "./chart";
import { byId, make, setText } from "./dom";
import { countOf, plural } from "./format";
import { colorName } from "./names";
import type { Roster } from "./roster";

interface Segment {
  readonly kind: string;
  readonly count: number;
  readonly color?: string;
}

/** Where the jobs are: one bar, its counts, and how both have changed. */
export class FlowView {
  readonly #meter = byId("meter", HTMLElement);
  readonly #chart_place = byId("chart", HTMLElement);
  readonly #clear = byId("clear-record", HTMLButtonElement);
  readonly #chart: Chart;

  static async create(): Promise<FlowView> {
    return new FlowView(await Chart.create(byId("chart", HTMLElement)));
  }

  private constructor(chart: Chart) {
    this.#chart = chart;
  }

  show(account: Account | Error, roster: Roster): void {
    const at_s = performance.now() / 1000;
    if (account instanceof Error) {
      return this.#chart.add({ at_s, depth: null, rate_per_s: null });
    }
    const { done, ready, delayed, leased, dead, rate_per_s, sent } = account;
    const open = ready + delayed + leased;
    const counts = { done, ready, delayed, leased, dead, repeats: roster.repeats() };
    for (const [kind, count] of Object.entries(counts)) {
      setText(byId(`count-${kind}`, HTMLElement), countOf(count));
    }
    this.#showMeter(account, roster);
    this.#chart.add({ at_s, depth: open, rate_per_s });
    const now = `${plural(open, "job")} in the queue, ${rate_per_s.toFixed(1)} done per second`;
    this.#chart_place.setAttribute("aria-label", `The last minute. Now ${now}`);
    this.#clear.disabled = open > 0 || dead > 0 || (!sent && !done);
  }

  #showMeter({ done, ready, delayed, leased, dead }: Account, roster: Roster): void {
    const segments: Segment[] = roster.tabs()
      .filter(({ progress }) => progress.done > 0)
      .map(({ color, progress }) => ({
        kind: "done", count: progress.done, color: `var(${colorName(color)})`,
      }));
    const known = segments.reduce((sum, { count }) => sum + count, 0);
    // Tabs that nobody has heard of.
    if (done > known) segments.push({ kind: "done", count: done - known });
    const others = { leased, ready, delayed, dead };
    for (const [kind, count] of Object.entries(others)) if (count) segments.push({ kind, count });
    this.#meter.replaceChildren(...segments.map(({ kind, count, color }) => {
      const bar = make("i", "");
      bar.dataset["kind"] = kind;
      bar.style.flexGrow = String(count);
      if (color) bar.style.setProperty("--tab", color);
      return bar;
    }));
    this.#meter.setAttribute("aria-label",
      `Jobs: ${done} done, ${leased} in work, ${ready} waiting, ${delayed} delayed, ${dead} dead`);
  }
}
