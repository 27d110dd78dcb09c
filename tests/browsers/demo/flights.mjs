// The records of the demo and the totals they must give, computed from the file alone.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ROOT } from "../lib/run.mjs";

const FILE = "flights-20k.json";

/** The folder of the data set: a development dependency of the playground. */
export function dataFolder() {
  const entry = createRequire(join(ROOT, "www/package.json")).resolve("vega-datasets");
  return join(dirname(entry), "../data");
}

/** `{ count, delay, distance, origins: { DTW: { count, delay, distance }, .. } }` */
export function totalsOfFile() {
  const flights = JSON.parse(readFileSync(join(dataFolder(), FILE), "utf8"));
  const sum = (rows, field) => rows.reduce((total, row) => total + row[field], 0);
  const totals = (rows) => ({
    count: rows.length,
    delay: sum(rows, "delay"),
    distance: sum(rows, "distance"),
  });
  const codes = [...new Set(flights.map(({ origin }) => origin))].sort();
  const of = (code) => flights.filter(({ origin }) => origin === code);
  return {
    ...totals(flights),
    origins: Object.fromEntries(codes.map((code) => [code, totals(of(code))])),
  };
}
