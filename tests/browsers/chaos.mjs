// Eight tabs under load while tabs die, close, stop and come back, the lock is stolen and the
// storage fails; then an independent checker reads what was recorded.
// The last line is one JSON object; the exit code is 1 unless all holds.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Chaos } from "./chaos/chaos.mjs";
import { judge } from "./chaos/checker.mjs";
import { proveChecker } from "./chaos/proofs.mjs";
import { Fleet } from "./chaos/fleet.mjs";
import { History } from "./chaos/history.mjs";
import { makePlan, MODES } from "./chaos/plan.mjs";
import { Report, summarize } from "./chaos/report.mjs";
import { ENGINES, launchBrowser, MissingBrowser } from "./lib/engines/index.mjs";
import { ROOT, Run } from "./lib/run.mjs";
import { describeTabs } from "./lib/runner.mjs";
import { TestServer } from "./lib/server.mjs";
import { finishOnSignals } from "./lib/signals.mjs";

const BROKEN_SHOWN = 10;
const SEEDS = 2 ** 32;

const wholeNumber = (text) => (/^\d+$/.test(text) ? Number(text) : NaN);

function readArguments() {
  const options = {
    browser: { type: "string", default: "chromium" },
    events: { type: "string", default: "30" },
    seed: { type: "string", default: String(Math.floor(Math.random() * SEEDS)) },
    host: { type: "string" },
  };
  const { values } = parseArgs({ options });
  const { browser, host } = values;
  if (!ENGINES.includes(browser)) throw new Error(`no such browser: ${browser}`);
  const modes = host?.split(",") ?? MODES;
  const unknown = modes.find((mode) => !MODES.includes(mode));
  if (unknown !== undefined) throw new Error(`no such host: ${unknown}`);
  const [events, seed] = [wholeNumber(values.events), wholeNumber(values.seed)];
  if (!(events >= 1)) throw new Error("--events takes a count from 1");
  if (!(seed < SEEDS)) throw new Error(`--seed takes a whole number below ${SEEDS}`);
  return { browser, events, seed, modes };
}

async function runChaos(run, { browser: engine, events: count, seed, modes }) {
  const report = new Report({ events: count });
  const browser = await launchBrowser(run, engine, { kills: true });
  const folders = {
    "/chaos/": join(ROOT, "tests/browsers/pages/chaos"),
    "/tabmq/": join(ROOT, "pkg/dist"),
    "/": join(ROOT, "tests/browsers/pages"),
  };
  const server = await TestServer.start({ folders, orders: browser.orders });
  const kept = join(ROOT, "target", "chaos");
  mkdirSync(kept, { recursive: true });
  const path = join(kept, `${engine}-${seed}.jsonl`);
  const history = new History(path);
  server.setUpgrade("/__history", (...opened) => history.accept(...opened));
  const { first_modes, events } = makePlan({ seed, events: count, modes });
  const fleet = new Fleet({ browser, server, modes: first_modes });
  const chaos = new Chaos({ fleet, history, report });
  // A long run can be ended early: what was done until then is judged.
  process.once("SIGUSR2", () => chaos.endEvents());
  report.say(`${engine}, seed ${seed}, ${count} events; the history is kept in ${path}`);
  try {
    const { effects, left } = await chaos.run(events);
    const seconds = report.seconds();
    const findings = judge({ records: history.records, effects, left });
    const facts = { browser: engine, seed, chaos, effects, findings, seconds };
    return { findings, summary: summarize(facts) };
  } catch (error) {
    // Now, because what is cleaned up may fail as well.
    console.error(`seed ${seed}:`, error);
    await fleet.resumeAll();
    console.log(await describeTabs(run, browser, `chaos ${engine} ${seed}`));
    throw error;
  } finally {
    await server.close();
    await history.close();
    await browser.close();
  }
}

function say(findings) {
  for (const [name, broken] of Object.entries(findings)) {
    for (const text of broken.slice(0, BROKEN_SHOWN)) console.log(`NOT TRUE: ${name}: ${text}`);
  }
}

async function main() {
  const options = readArguments();
  const proofs = proveChecker();
  const run = new Run();
  finishOnSignals(run);
  let outcome;
  try {
    outcome = await runChaos(run, options);
  } catch (error) {
    console.error(`it did not end well: ${error.message}`);
  }
  await run.finish();
  if (outcome === undefined) {
    console.log(`${proofs} passed, 1 failed`);
    process.exit(1);
  }
  const { findings, summary } = outcome;
  say(findings);
  const judgements = Object.values(findings);
  const failed = judgements.filter((broken) => broken.length > 0).length;
  console.log(`${proofs + judgements.length - failed} passed, ${failed} failed`);
  console.log(JSON.stringify(summary));
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => {
  console.error(error instanceof MissingBrowser ? error.message : error);
  process.exit(error instanceof MissingBrowser ? 3 : 1);
});
