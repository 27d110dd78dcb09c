// Runs every *.test.mjs beside it, or those whose names have the first argument in them; then with
// the buses at a hub those that get them from helpers.mjs, and some of them with the buses in
// Durable Objects. Counts.
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv[2] ?? "";
const files = readdirSync(HERE)
  .filter((name) => name.endsWith(".test.mjs") && name.includes(wanted))
  .map((name) => join(HERE, name));
const with_buses = files.filter((file) => /\b(open|connect)Bus\b/.test(readFileSync(file, "utf8")));

let passed = 0;
let failed = 0;

function runAll(chosen) {
  const tests = run({
    files: chosen,
    concurrency: 2,
    timeout: 600_000,
  });
  tests.on("test:pass", ({ details }) => {
    if (details.type !== "suite") passed += 1;
  });
  tests.on("test:fail", ({ details }) => {
    if (details.type !== "suite") failed += 1;
  });
  const ended = new Promise((resolve) => tests.on("end", resolve));
  tests.compose(new spec()).pipe(process.stdout, { end: false });
  return ended;
}

await runAll(files);
if (with_buses.length) {
  console.log("\nwith buses at a hub\n");
  process.env.TABMQ_TEST_HUB = "1";
  await runAll(with_buses);
}
// Queues, and live messages.
const in_objects = with_buses.filter((file) =>
  ["bus", "consuming", "publishing", "queues"].includes(basename(file, ".test.mjs")),
);
if (in_objects.length) {
  console.log("\nwith buses in Durable Objects\n");
  process.env.TABMQ_TEST_HUB = "object";
  await runAll(in_objects);
}
process.exitCode = failed || !passed ? 1 : 0;
process.on("exit", () => console.log(`${passed} passed, ${failed} failed`));
