/** A column of a table: its title, and what it shows of a row. */
export type Column<T> = readonly [title: string, read: (row: T) => string];

/** The lines of a table. Names stand to the left, numbers to the right. */
export function* table<T>(columns: readonly Column<T>[], rows: readonly T[]): Generator<string> {
  const cells = rows.map((row) => columns.map(([, read]) => read(row)));
  const lines = [columns.map(([title]) => title), ...cells];
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  for (const line of lines) {
    yield line
      .map((cell, at) => (at ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join("  ");
  }
}
