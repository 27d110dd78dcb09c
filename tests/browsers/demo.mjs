// The main job with no screen: 20 000 flights through real tabs that die, close and freeze. With
// `--minutes N` its mix again and again for so long.
// The last line is one JSON object; the exit code is 1 unless nothing was lost.
import { parseArgs } from "node:util";
import { join } from "node:path";
import { dataFolder, totalsOfFile } from "./demo/flights.mjs";
import { Job } from "./demo/job.mjs";
import { Soak } from "./demo/soak.mjs";
import { ENGINES, launchBrowser, MissingBrowser } from "./lib/engines/index.mjs";
import { ROOT, Run } from "./lib/run.mjs";
import { describeTabs } from "./lib/runner.mjs";
import { finishOnSignals } from "./lib/signals.mjs";
import { TestServer } from "./lib/server.mjs";

const RECORDS = 20_000;

function readArguments() {
  const options = {
    browser: { type: "string", default: "chromium" },
    minutes: { type: "string" },
  };
  const { values } = parseArgs({ options });
  if (!ENGINES.includes(values.browser)) throw new Error(`no such browser: ${values.browser}`);
  return { ...values, minutes: values.minutes === undefined ? undefined : Number(values.minutes) };
}

/** What the job promises; the names of the promises it did not keep. */
function brokenPromises(promises) {
  return Object.keys(promises).filter((name) => !promises[name]);
}

function promisesOfJob(result) {
  return {
    "lost is 0": result.lost === 0,
    "every record has one effect": result.effects === result.records,
    "the totals are equal": result.totals_equal,
    "there were at least 2 epochs": result.epochs >= 2,
    "something was redelivered": result.redelivered >= 1,
    "a late ack was refused": result.stale_acks >= 1,
  };
}

function promisesOfSoak(result) {
  return {
    "lost is 0": result.lost === 0,
    "no effect came late": result.late_effects === 0,
    "each turn had an epoch of its own": result.epochs === result.turns,
  };
}

async function runJob(run, engine, minutes) {
  const started_ms = performance.now();
  const say = (line) => {
    const at_s = ((performance.now() - started_ms) / 1_000).toFixed(1).padStart(6);
    console.log(`${at_s} s  ${line}`);
  };
  const browser = await launchBrowser(run, engine, { kills: true });
  const folders = {
    "/demo/": join(ROOT, "tests/browsers/pages/demo"),
    "/tabmq/": join(ROOT, "pkg/dist"),
    "/data/": dataFolder(),
  };
  const server = await TestServer.start({ folders, orders: browser.orders });
  say(`${engine} is up; the pages come from ${server.origin}`);
  try {
    if (minutes !== undefined) return await new Soak({ browser, server, say }).run(minutes);
    const job = new Job({ browser, server, records: RECORDS, say });
    const result = await job.run(totalsOfFile());
    await job.A.screenshot(join(run.screenshots, `demo-${engine}.png`));
    return result;
  } catch (error) {
    console.log(await describeTabs(run, browser, `demo ${engine}`));
    throw error;
  } finally {
    await server.close();
    await browser.close();
  }
}

async function main() {
  const { browser: engine, minutes } = readArguments();
  const run = new Run();
  finishOnSignals(run);
  let result;
  try {
    result = { browser: engine, ...(await runJob(run, engine, minutes)) };
  } finally {
    await run.finish();
  }
  const promises = minutes === undefined ? promisesOfJob(result) : promisesOfSoak(result);
  const broken = brokenPromises(promises);
  for (const name of broken) console.log(`NOT TRUE: ${name}`);
  console.log(JSON.stringify(result));
  process.exit(broken.length === 0 ? 0 : 1);
}

main().catch((error) => {
  console.error(error instanceof MissingBrowser ? error.message : error);
  process.exit(error instanceof MissingBrowser ? 3 : 1);
});
