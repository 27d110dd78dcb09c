// Command line of the browser tests. The last line is always `N passed, N failed`.
import { existsSync, readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { ENGINES, MissingBrowser, requireEngine } from "./lib/engines/index.mjs";
import { Run } from "./lib/run.mjs";
import { cases, HOSTS, runCases } from "./lib/runner.mjs";
import { finishOnSignals } from "./lib/signals.mjs";

const HELP = `node run.mjs [--browser NAMES] [--suite FOLDER] [--grep TEXT] [--repeat N NAME]
  --browser  engines to test, by comma: chromium,firefox,webkit (the default)
  --grep     only cases whose name contains this text
  --repeat   run the case NAME (or those --grep finds) N times each
  --suite    only this folder of cases: selftests or product
  --part     only each Nth of what would run, from the Kth on: K/N; of repeats all
  --host     where the node runs, by comma: auto,tab,worker (the default)
  --list     print the names of the cases`;

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      browser: { type: "string", multiple: true },
      grep: { type: "string" },
      host: { type: "string" },
      part: { type: "string", default: "1/1" },
      repeat: { type: "string", default: "1" },
      suite: { type: "string" },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const engines = values.browser?.flatMap((names) => names.split(",")) ?? ENGINES;
  const unknown = engines.find((engine) => !ENGINES.includes(engine));
  if (unknown !== undefined) throw new Error(`no such browser: ${unknown}`);
  const hosts = values.host?.split(",") ?? HOSTS;
  const unknown_host = hosts.find((host) => !HOSTS.includes(host));
  if (unknown_host !== undefined) throw new Error(`no such host: ${unknown_host}`);
  const repeat = Number(values.repeat);
  if (!Number.isInteger(repeat) || repeat < 1) throw new Error("--repeat takes a count from 1");
  const part = repeat === 1 ? readPart(values.part) : readPart("1/1");
  const grep = values.grep ?? positionals.join(" ");
  return { ...values, engines, hosts, repeat, part, grep };
}

function readPart(text) {
  const [, number, count] = /^(\d+)\/(\d+)$/.exec(text)?.map(Number) ?? [];
  if (!(number >= 1 && number <= count)) throw new Error("--part takes K/N, with K from 1 to N");
  return { number, count };
}

async function loadCases(suite) {
  for (const folder of ["selftests", "product"]) {
    if (suite !== undefined && suite !== folder) continue;
    const location = new URL(`${folder}/`, import.meta.url);
    const files = existsSync(location) ? readdirSync(location).sort() : [];
    for (const file of files.filter((name) => name.endsWith(".test.mjs"))) {
      await import(new URL(`${folder}/${file}`, import.meta.url));
    }
  }
}

async function main() {
  const options = readArguments();
  if (options.help) return console.log(HELP);
  await loadCases(options.suite);
  const chosen = cases.filter(({ name }) => name.includes(options.grep));
  if (options.list) return chosen.forEach(({ name }) => console.log(name));
  if (chosen.length === 0) throw new Error(`no case is named like "${options.grep}"`);
  options.engines.forEach(requireEngine);
  const run = new Run();
  finishOnSignals(run);
  let counts = { passed: 0, failed: 0 };
  try {
    counts = await runCases(run, options.engines, chosen, options);
  } catch (error) {
    console.error(error);
    counts.failed += 1;
  }
  try {
    await run.finish();
  } catch (error) {
    console.error(error.message);
    counts.failed += 1;
  }
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  process.exit(counts.failed === 0 ? 0 : 1);
}

main().catch((error) => {
  console.error(error instanceof MissingBrowser ? error.message : error);
  process.exit(error instanceof MissingBrowser ? 3 : 1);
});
