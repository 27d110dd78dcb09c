// How long nobody delivers after the process of the host was killed, with more or fewer messages
// stored, beside the hand-over of a bare Web Lock that the same page held.
// A report goes to standard output, progress to standard error. No result is judged.
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ENGINES, launchBrowser, MissingBrowser } from "./lib/engines/index.mjs";
import { ROOT, Run } from "./lib/run.mjs";
import { describeTabs } from "./lib/runner.mjs";
import { TestServer } from "./lib/server.mjs";
import { finishOnSignals } from "./lib/signals.mjs";
import { folders, joinBus, openPage } from "./product/bus.mjs";

const STORED = [0, 1000, 10_000];
const TABS = 3;
const RECOVERY_MS = 60_000;
/**
 * All that is killed is opened anew, and a browser gets slower with each page it has lost. In
 * WebKit the windows of dead pages stay as well, for nothing can close them.
 */
const KILLS_PER_BROWSER = { chromium: 50, firefox: 50, webkit: 20 };

function readArguments() {
  const options = {
    browser: { type: "string", default: "chromium" },
    json: { type: "boolean", default: false },
    kills: { type: "string", default: "100" },
  };
  const { values } = parseArgs({ options });
  if (!ENGINES.includes(values.browser)) throw new Error(`no such browser: ${values.browser}`);
  const kills = Number(values.kills);
  if (!Number.isInteger(kills) || kills < 1) throw new Error("--kills takes a count from 1");
  return { ...values, kills };
}

/** In the page: so many messages that nobody takes. */
async function store(count) {
  const body = new Uint8Array(100);
  const stored = globalThis.bus.queue("stored");
  for (let left = count; left > 0; left -= 1000) {
    await stored.sendBatch(Array.from({ length: Math.min(left, 1000) }, () => ({ body })));
  }
}

/** In the page: sends and takes without end, and notes what came first under each host. */
function work() {
  const now = () => performance.timeOrigin + performance.now();
  globalThis.first = {};
  const queue = globalThis.bus.queue("jobs");
  queue.process(() => {
    globalThis.first[globalThis.bus.host.get().epoch] ??= now();
  });
  const send = () =>
    queue.send(1).then(
      () => setTimeout(send, 2),
      () => undefined,
    );
  send();
  navigator.locks.request("bare", () => {
    globalThis.bare = now();
    return new Promise(() => {});
  });
}

/** Tabs in the order in which they stand in line for both locks; the first one hosts. */
class Line {
  tabs = [];

  constructor(browser, server) {
    this.t = { browser, openTab: (path, options) => browser.openTab(server.url(path), options) };
  }

  async add(before = async () => undefined) {
    const tab = await openPage(this.t, "in line");
    // Before it works, because no process stands out while all do.
    const pid = await tab.processId();
    await joinBus(tab, { host: "tab" });
    await before(tab);
    await tab.evaluate(work);
    this.tabs.push({ tab, pid });
  }

  /** Kills the host; resolves with both waits in ms. */
  async killFirst() {
    const { tab, pid } = this.tabs.shift();
    const { epoch, here } = await tab.evaluate(() => globalThis.bus.host.get());
    if (!here) throw new Error("the first tab in line does not host");
    const killed_at = await tab.kill(new Map([[tab, pid]]));
    const firstAfter = (old) => {
      const later = Object.keys(globalThis.first).filter((at) => Number(at) > old);
      return later.length > 0 && Math.min(...later.map((at) => globalThis.first[at]));
    };
    const wanted = { args: [epoch], deadline_ms: RECOVERY_MS, what: "a message after the kill" };
    const first = await Promise.all(this.tabs.map((next) => next.tab.waitFor(firstAfter, wanted)));
    const bare = await this.tabs[0].tab.waitFor(() => globalThis.bare, { what: "the bare lock" });
    await tab.close();
    this.t.browser.tabs.splice(this.t.browser.tabs.indexOf(tab), 1);
    return { delivery_ms: Math.min(...first) - killed_at, lock_ms: bare - killed_at };
  }
}

async function measureSome(run, engine, stored, kills) {
  const browser = await launchBrowser(run, engine, { kills: true });
  browser.host = "tab";
  const served = { "/": join(ROOT, "tests/browsers/pages"), ...folders };
  const server = await TestServer.start({ folders: served, orders: browser.orders });
  try {
    const line = new Line(browser, server);
    await line.add((tab) => tab.evaluateWithin(RECOVERY_MS, store, stored));
    while (line.tabs.length < TABS) await line.add();
    // Without a driver the page alone says it.
    const [{ tab }] = line.tabs;
    const version = browser.version ?? (await tab.evaluate(() => navigator.userAgent));
    const waits = [];
    while (waits.length < kills) {
      waits.push(await line.killFirst());
      await line.add();
    }
    return { waits, version };
  } catch (error) {
    console.error(await describeTabs(run, browser, `recovery ${engine}`));
    throw error;
  } finally {
    await server.close();
    await browser.close();
  }
}

function percentile(values, percent) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((sorted.length * percent) / 100) - 1)];
}

async function measure(run, { browser, kills }, stored) {
  const waits = [];
  let version;
  while (waits.length < kills) {
    const some = Math.min(KILLS_PER_BROWSER[browser], kills - waits.length);
    const measured = await measureSome(run, browser, stored, some);
    version = measured.version;
    waits.push(...measured.waits);
    console.error(`${browser}, ${stored} stored: ${waits.length} of ${kills} kills`);
  }
  const row = { stored, kills: waits.length, version };
  for (const name of ["delivery_ms", "lock_ms"]) {
    const values = waits.map((wait) => wait[name]);
    row[name] = { p50: percentile(values, 50), p99: percentile(values, 99) };
  }
  const above = waits.map(({ delivery_ms, lock_ms }) => delivery_ms - lock_ms);
  row.above_lock_ms = { p50: percentile(above, 50), p99: percentile(above, 99) };
  return row;
}

function print({ browser, cores, load, rows }) {
  const busy = `load ${load.before.toFixed(1)} before and ${load.after.toFixed(1)} after`;
  console.log(`${browser} ${rows[0].version ?? ""}: ${cores} cores, ${busy}\n`);
  console.log("| stored | kills | first delivery, ms | bare lock, ms | above the lock, ms |");
  console.log("| -----: | ----: | -----------------: | ------------: | -----------------: |");
  const both = ({ p50, p99 }) => `${p50.toFixed(0)}, ${p99.toFixed(0)}`;
  for (const { stored, kills, delivery_ms, lock_ms, above_lock_ms } of rows) {
    const cells = [stored, kills, both(delivery_ms), both(lock_ms), both(above_lock_ms)];
    console.log(`| ${cells.join(" | ")} |`);
  }
  console.log("\nmedian, then 99th percentile; docs/benchmarks.md");
}

async function main() {
  const options = readArguments();
  const run = new Run();
  finishOnSignals(run);
  const load = { before: loadavg()[0] };
  const rows = [];
  try {
    for (const stored of STORED) rows.push(await measure(run, options, stored));
  } finally {
    await run.finish();
  }
  load.after = loadavg()[0];
  const { browser, json } = options;
  const report = { browser, cores: availableParallelism(), load, rows };
  if (json) console.log(JSON.stringify(report, null, 2));
  else print(report);
}

main().catch((error) => {
  console.error(error instanceof MissingBrowser ? error.message : error);
  process.exit(error instanceof MissingBrowser ? 3 : 1);
});
