// Two lines over the last minute: what is in the queue, and what gets done.
import type uPlot from "uplot";

const WINDOW_S = 60;
const SAMPLES_MAX = 600;
/** A longer time without a sample is a hole in the lines. */
const HOLE_S = 5;
const HEIGHT = 190;
const FONT = "11px 'JetBrains Mono Variable', monospace";

export interface Sample {
  /** Seconds of any steady clock. */
  readonly at_s: number;
  /** `null` where nothing is known: the line has a hole there. */
  readonly depth: number | null;
  readonly rate_per_s: number | null;
}

type Column = (number | null)[];

/** Draws into `place` and follows its width and the color scheme. */
export class Chart {
  readonly #place: HTMLElement;
  readonly #columns: [number[], Column, Column] = [[], [], []];
  readonly #library: typeof uPlot;
  #plot: uPlot;

  static async create(place: HTMLElement): Promise<Chart> {
    correctLanguage();
    const { default: library } = await import("uplot");
    return new Chart(place, library);
  }

  private constructor(place: HTMLElement, library: typeof uPlot) {
    this.#place = place;
    this.#library = library;
    this.#plot = this.#draw();
    new ResizeObserver(() => {
      if (this.#plot.width !== this.#width) {
        this.#plot.setSize({ width: this.#width, height: HEIGHT });
      }
    }).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#plot.destroy();
      this.#plot = this.#draw();
    });
  }

  add({ at_s, depth, rate_per_s }: Sample): void {
    const [times, depths, rates] = this.#columns;
    const last_s = times.at(-1);
    if (last_s !== undefined && at_s - last_s > HOLE_S && depth !== null) {
      this.add({ at_s: last_s + HOLE_S, depth: null, rate_per_s: null });
    }
    times.push(at_s);
    depths.push(depth);
    rates.push(rate_per_s);
    if (times.length > SAMPLES_MAX) for (const column of this.#columns) column.shift();
    this.#plot.setData(this.#columns);
  }

  get #width(): number {
    return Math.max(200, this.#place.clientWidth);
  }

  #draw(): uPlot {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const options: uPlot.Options = {
      width: this.#width,
      height: HEIGHT,
      cursor: { show: false },
      legend: { show: false },
      scales: {
        x: { time: false, range: (_plot, _min, max) => [max - WINDOW_S, max] },
        depth: { range: (_plot, _min, max) => [0, Math.max(10, max * 1.1)] },
        rate: { range: (_plot, _min, max) => [0, Math.max(5, max * 1.1)] },
      },
      axes: [timeAxis(color("--muted"), color("--line")), ...valueAxes(color)],
      series: [
        {},
        {
          scale: "depth", stroke: color("--series-depth"), fill: color("--series-depth-fill"),
          width: 1.5, points: { show: false },
        },
        { scale: "rate", stroke: color("--series-rate"), width: 2, points: { show: false } },
      ],
    };
    return new this.#library(options, this.#columns, this.#place);
  }
}

/**
 * Where the locale of the machine is "C", WebKitGTK tells that as the language, which its own Intl
 * refuses. uPlot asks for it once, as it is loaded.
 */
function correctLanguage(): void {
  try {
    Intl.getCanonicalLocales(navigator.language);
  } catch {
    Object.defineProperty(navigator, "language", { value: "en" });
  }
}

/** Says how long ago, not when. */
function timeAxis(text: string, line: string): uPlot.Axis {
  return {
    stroke: text, font: FONT, size: 26, gap: 6,
    grid: { show: false },
    ticks: { stroke: line, width: 1, size: 4 },
    splits: ({ scales }) => {
      const now = scales["x"]?.max ?? 0;
      return [60, 45, 30, 15, 0].map((ago) => now - ago);
    },
    values: (_plot, splits) => splits.map((_split, index) => {
      return index === splits.length - 1 ? "now" : `-${60 - index * 15} s`;
    }),
  };
}

function valueAxes(color: (name: string) => string): uPlot.Axis[] {
  const common = { font: FONT, gap: 6, size: 44, space: 40, ticks: { show: false } };
  return [
    {
      ...common, scale: "depth", side: 3, stroke: color("--series-depth-text"),
      grid: { stroke: color("--line"), width: 1 },
    },
    {
      ...common, scale: "rate", side: 1, stroke: color("--series-rate-text"),
      grid: { show: false },
    },
  ];
}
