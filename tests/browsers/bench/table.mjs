// The report for people.

const COLUMNS = ["row", "unit", "tabmq", "raw", "ratio", "of rounds"];

function digits(value, unit) {
  if (unit === "ms") return value.toFixed(2);
  return Math.round(value).toLocaleString("en").replaceAll(",", " ");
}

function cells({ name, unit, ours, raw, ratio, ratio_min, ratio_max }) {
  const range = `${ratio_min.toFixed(2)} to ${ratio_max.toFixed(2)}`;
  return [name, unit, digits(ours, unit), digits(raw, unit), ratio.toFixed(2), range];
}

/** Markdown that reads well as plain text too. */
export function table(rows) {
  const lines = [COLUMNS, ...rows.map(cells)];
  const widths = COLUMNS.map((_, index) => Math.max(...lines.map((line) => line[index].length)));
  const text = (line) => {
    const padded = line.map((cell, index) =>
      index < 2 ? cell.padEnd(widths[index]) : cell.padStart(widths[index]),
    );
    return `| ${padded.join(" | ")} |`;
  };
  const rule = widths.map((width, index) => "-".repeat(width - 1) + (index < 2 ? "-" : ":"));
  return [text(lines[0]), `| ${rule.join(" | ")} |`, ...lines.slice(1).map(text)].join("\n");
}
