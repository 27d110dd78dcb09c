// Confirmed sends per second over files, beside what the disk takes: blocks of as many bytes,
// appended one after the other. Both sides in turns; no result is judged.
import fs from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";

import { connect } from "../pkg/dist/node.js";
import { median } from "../tests/browsers/bench/rows.mjs";
import { table } from "../tests/browsers/bench/table.mjs";

const ROUNDS = 5;
const DURATION_MS = 300;
const BODY_BYTES = 100;
/** They are confirmed together, so the next come together: a block has all of them. */
const IN_FLIGHT = 64;
/** What a chunk of the log has for a message beside its body. */
const RECORD_BYTES = 20;

const folder = fs.mkdtempSync(join(import.meta.dirname, "../target/bench-files-"));
const bus = await connect("bench", { storage: folder });
const queue = bus.queue("kept");
await queue.ready();
const body = crypto.getRandomValues(new Uint8Array(BODY_BYTES));
const block = crypto.getRandomValues(new Uint8Array(IN_FLIGHT * (BODY_BYTES + RECORD_BYTES)));
const file = fs.openSync(join(folder, "raw"), "wx+");
let end = 0;

async function perSecond(in_flight, work, weight) {
  const started_ms = performance.now();
  let done = 0;
  const lane = async () => {
    while (performance.now() < started_ms + DURATION_MS) {
      await work();
      done += weight;
    }
  };
  await Promise.all(Array.from({ length: in_flight }, lane));
  return (done / (performance.now() - started_ms)) * 1_000;
}

const begin = (run) =>
  new Promise((resolve, reject) => run((error) => (error ? reject(error) : resolve())));

async function append(durability) {
  await begin((done) => fs.write(file, block, 0, block.length, end, done));
  end += block.length;
  if (durability === "strict") await begin((done) => fs.fdatasync(file, done));
}

const sides = {
  ours: (durability) => perSecond(IN_FLIGHT, () => queue.send(body, { durability }), 1),
  raw: (durability) => perSecond(1, () => append(durability), IN_FLIGHT),
};

async function compare(durability) {
  const values = { ours: [], raw: [] };
  for (let round = 0; round <= ROUNDS; round += 1) {
    const order = round % 2 ? ["ours", "raw"] : ["raw", "ours"];
    for (const side of order) {
      const value = await sides[side](durability);
      if (round > 0) values[side].push(value);
    }
  }
  const ratios = values.ours.map((ours, index) => ours / values.raw[index]);
  return {
    name: `durable, ${durability}`,
    unit: "/s",
    ours: median(values.ours),
    raw: median(values.raw),
    ratio: median(ratios),
    ratio_min: Math.min(...ratios),
    ratio_max: Math.max(...ratios),
  };
}

const [before] = loadavg();
const rows = [];
for (const durability of ["relaxed", "strict"]) rows.push(await compare(durability));
const busy = `load ${before.toFixed(1)} before and ${loadavg()[0].toFixed(1)} after`;
console.log(`files in Node.js ${process.version}: ${availableParallelism()} cores, ${busy}\n`);
console.log(table(rows));
await bus.close();
fs.closeSync(file);
fs.rmSync(folder, { recursive: true });
