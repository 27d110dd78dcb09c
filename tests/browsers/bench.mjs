// Benchmarks between two real tabs, each beside the same job done with what the browser has itself.
// A report goes to standard output, progress to standard error. No result is judged.
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median, ratioOf, ROWS } from "./bench/rows.mjs";
import { table } from "./bench/table.mjs";
import { ENGINES, launchBrowser, MissingBrowser } from "./lib/engines/index.mjs";
import { ROOT, Run } from "./lib/run.mjs";
import { describeTabs } from "./lib/runner.mjs";
import { TestServer } from "./lib/server.mjs";
import { finishOnSignals } from "./lib/signals.mjs";

const ROUNDS = 5;
const SIDES = ["ours", "raw"];
const ROUND_MS = 60_000;
const PAGE = "/bench/index.html";
/** A page that is isolated gets a finer clock; else a round trip is one tick of it in Firefox. */
const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

function readArguments() {
  const options = {
    browser: { type: "string", default: "chromium" },
    json: { type: "boolean", default: false },
  };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (!ENGINES.includes(values.browser)) throw new Error(`no such browser: ${values.browser}`);
  const wanted = ({ name }) => positionals.some((filter) => name.includes(filter));
  const rows = positionals.length === 0 ? ROWS : ROWS.filter(wanted);
  const names = ROWS.map(({ name }) => name).join(", ");
  if (rows.length === 0) throw new Error(`no row has that in its name; there are: ${names}`);
  return { ...values, rows };
}

async function openTabs(browser, server) {
  const tabs = [];
  // The first tab hosts the node; it receives, processes and answers.
  for (const [label, role] of [["answering", "answer"], ["asking", "ask"]]) {
    const tab = await browser.openTab(server.url(PAGE), { label });
    await tab.waitFor(() => globalThis.bench !== undefined, { what: "the page has loaded" });
    for (const side of SIDES) {
      await tab.evaluate((name) => globalThis.bench[name].connect(), side);
      await tab.evaluate((name, as) => globalThis.bench[name][as](), side, role);
    }
    tabs.push(tab);
  }
  return tabs;
}

function measure(tab, side, { method, parameters }) {
  const run = (name, verb, given) => globalThis.bench[name][verb](given);
  return tab.evaluateWithin(ROUND_MS, run, side, method, parameters);
}

/** Both sides in turns, the first round to warm up. */
async function compare(tab, row) {
  const values = { ours: [], raw: [] };
  for (let round = 0; round <= ROUNDS; round += 1) {
    const order = round % 2 === 0 ? SIDES : SIDES.toReversed();
    for (const side of order) {
      const value = await measure(tab, side, row);
      if (round > 0) values[side].push(value);
    }
  }
  const ratios = values.ours.map((ours, index) => ratioOf(row, ours, values.raw[index]));
  return {
    name: row.name,
    unit: row.unit,
    ours: median(values.ours),
    raw: median(values.raw),
    ratio: median(ratios),
    ratio_min: Math.min(...ratios),
    ratio_max: Math.max(...ratios),
  };
}

async function runAll(run, engine, rows) {
  const browser = await launchBrowser(run, engine);
  const folders = {
    "/bench/": join(ROOT, "tests/browsers/pages/bench"),
    "/tabmq/": join(ROOT, "pkg/dist"),
  };
  const server = await TestServer.start({ folders, orders: browser.orders });
  server.setHeaders(PAGE, ISOLATED);
  try {
    const [, asking] = await openTabs(browser, server);
    const user_agent = await asking.evaluate(() => navigator.userAgent);
    const load = { before: loadavg()[0] };
    const results = [];
    for (const [index, row] of rows.entries()) {
      console.error(`${engine} ${index + 1}/${rows.length}: ${row.name}`);
      results.push(await compare(asking, row));
    }
    load.after = loadavg()[0];
    return { version: browser.version, user_agent, load, results };
  } catch (error) {
    console.error(await describeTabs(run, browser, `bench ${engine}`));
    throw error;
  } finally {
    await server.close();
    await browser.close();
  }
}

function print({ browser, user_agent, cores, load, rounds, results }) {
  const busy = `load ${load.before.toFixed(1)} before and ${load.after.toFixed(1)} after`;
  console.log(`${browser}: ${user_agent}`);
  console.log(`${cores} cores, ${busy}; medians of ${rounds} rounds, both sides in turns\n`);
  console.log(table(results));
  console.log("\nratio: how many times as good as raw, above 1 is better; docs/benchmarks.md");
}

async function main() {
  const { browser, json, rows } = readArguments();
  const run = new Run();
  finishOnSignals(run);
  const date = new Date().toISOString();
  let report;
  try {
    const measured = await runAll(run, browser, rows);
    report = { date, browser, cores: availableParallelism(), rounds: ROUNDS, ...measured };
  } finally {
    await run.finish();
  }
  if (json) console.log(JSON.stringify(report, null, 2));
  else print(report);
}

main().catch((error) => {
  console.error(error instanceof MissingBrowser ? error.message : error);
  process.exit(error instanceof MissingBrowser ? 3 : 1);
});
