// Runs every *.test.mjs beside it, or those whose names have the first argument in them. Counts.
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv[2] ?? "";
const files = readdirSync(HERE)
  .filter((name) => name.endsWith(".test.mjs") && name.includes(wanted))
  .map((name) => join(HERE, name));

let passed = 0;
let failed = 0;
const tests = run({
  files,
  concurrency: 2,
  timeout: 60_000,
});
tests.on("test:pass", ({ details }) => {
  if (details.type !== "suite") passed += 1;
});
tests.on("test:fail", ({ details }) => {
  if (details.type !== "suite") failed += 1;
});
tests.on("end", () => {
  process.exitCode = failed || !passed ? 1 : 0;
  process.on("exit", () => console.log(`${passed} passed, ${failed} failed`));
});
tests.compose(new spec()).pipe(process.stdout);
