/** https://prometheus.io/docs/specs/om/open_metrics_spec/ */
export const OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";

export type Labels = Readonly<Record<string, string>>;

/** What is counted under one name. A counter is written with `_total` behind it. */
export interface Family {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  /** The last word of the name, if it is a unit. */
  readonly unit?: string;
  readonly samples: readonly (readonly [labels: Labels, value: number])[];
}

/** The text format, each family as a whole. */
export function render(families: readonly Family[]): string {
  const lines: string[] = [];
  for (const { name, type, help, unit, samples } of families) {
    lines.push(`# TYPE ${name} ${type}`);
    if (unit) lines.push(`# UNIT ${name} ${unit}`);
    lines.push(`# HELP ${name} ${escape(help)}`);
    const sample = type === "counter" ? `${name}_total` : name;
    for (const [labels, value] of samples) lines.push(`${sample}${renderLabels(labels)} ${value}`);
  }
  return `${[...lines, "# EOF"].join("\n")}\n`;
}

function renderLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`);
  return pairs.length ? `{${pairs.join(",")}}` : "";
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
