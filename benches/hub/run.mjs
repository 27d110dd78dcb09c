// `cargo xtask bench --hub`: a hub beside NATS over WebSocket, and calls beside a bare echo.
// Both sides of a row take turns; no result is judged.
import fs from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { median } from "../../tests/browsers/bench/rows.mjs";
import { table } from "../../tests/browsers/bench/table.mjs";
import { Receiver } from "./receivers.mjs";
import { OURS, ROWS } from "./rows.mjs";
import * as servers from "./servers.mjs";
import { drive } from "./sides.mjs";
import { Place } from "./work.mjs";

const ROUNDS = 5;
/** Not measured: engines optimise what has run for some seconds, on both sides. */
const WARM_ROUNDS = 6;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean" } },
});
const rows = ROWS.filter(({ name, peer }) => {
  const full = `${name} ${peer}`;
  return positionals.length === 0 || positionals.some((filter) => full.includes(filter));
});
if (rows.length === 0) {
  console.error("no row has such a name");
  process.exit(2);
}

const folder = fs.mkdtempSync(join(import.meta.dirname, "../../target/bench-hub-"));
const below = (name) => {
  const path = join(folder, name);
  fs.mkdirSync(path);
  return path;
};
const running = [];
const places = new Map();

/** A side is started with the first row that needs it. */
async function place(name) {
  const known = places.get(name);
  if (known) return known;
  const [side, start] = STARTS[name];
  const server = await start();
  running.push(server);
  const receiver = await Receiver.start(side, server.url);
  const made = new Place(await drive(side, server.url), receiver);
  places.set(name, made);
  return made;
}

const STARTS = {
  tabmq: ["tabmq", () => servers.hub(below("hub"))],
  nats: ["nats", () => servers.nats(below("nats"))],
  jetstream: ["nats", () => servers.nats(below("jetstream"))],
  "jetstream with sync": ["nats", () => servers.nats(below("sync"), "always")],
  "tabmq in an object": ["tabmq", () => servers.object("hub", below("object"))],
  "object by hand": ["object", () => servers.object("hand", below("hand"))],
  "raw echo": ["echo", () => servers.echo()],
};

async function compare(row) {
  const sides = { ours: await place(OURS[row.peer] ?? "tabmq"), raw: await place(row.peer) };
  const found = { ours: [], raw: [] };
  for (let round = 0; round < WARM_ROUNDS + ROUNDS; round += 1) {
    const order = round % 2 ? ["ours", "raw"] : ["raw", "ours"];
    for (const side of order) {
      const value = await sides[side][row.work](row);
      if (round >= WARM_ROUNDS) found[side].push(value);
    }
  }
  const ratios = found.ours.map((ours, index) => ours / found.raw[index]);
  return {
    name: `${row.name}, beside ${row.peer}`,
    unit: "/s",
    ours: median(found.ours),
    raw: median(found.raw),
    ratio: median(ratios),
    ratio_min: Math.min(...ratios),
    ratio_max: Math.max(...ratios),
  };
}

const [before] = loadavg();
const results = [];
try {
  for (const [index, row] of rows.entries()) {
    console.error(`${index + 1} of ${rows.length}: ${row.name}, beside ${row.peer}`);
    results.push(await compare(row));
  }
} finally {
  for (const each of places.values()) await each.end();
  for (const server of running) await server.stop();
  fs.rmSync(folder, { recursive: true });
}
const load = { before, after: loadavg()[0], cores: availableParallelism() };
if (values.json) console.log(JSON.stringify({ node: process.version, load, rows: results }));
else {
  const busy = `load ${load.before.toFixed(1)} before and ${load.after.toFixed(1)} after`;
  console.log(`hub and NATS, Node.js ${process.version}: ${load.cores} cores, ${busy}\n`);
  console.log(table(results));
}
