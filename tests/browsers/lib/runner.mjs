// Runs test cases one after another and reports. A case that fails is never tried again.
import { join } from "node:path";
import { launchBrowser } from "./engines/index.mjs";
import { ROOT } from "./run.mjs";
import { TestServer } from "./server.mjs";
import { within } from "./tab.mjs";

const CASE_MS = 180_000;
const FRAMES_SHOWN = 200;

/** Every case, in the order the files declare them. */
export const cases = [];

/**
 * Declares a case. `engines`: only these (default all). `deadline_ms`: for the whole case.
 * `kills`: it kills or stops tabs, so it runs without a driver where a driver would not survive.
 * `browser`: launch options; such a case gets a browser of its own. `hosts`: it runs once for each
 * place in which the node can run; `t.host` says which. `host`: it runs with the node there.
 * `panics`: it makes a core panic; in any other case a core that begins anew is a failure.
 */
export function test(name, options, body) {
  cases.push(body === undefined ? { name, options: {}, body: options } : { name, options, body });
}

/** What a case is given: a server and origin of its own, and tabs. */
class Context {
  measurements = [];
  #cleanups = [];

  constructor(run, engine, browser, server, host) {
    Object.assign(this, { run, engine, browser, server, host });
  }

  /** Opens a page of this case's server, or a full URL, in a window of its own. */
  openTab(path = "/blank.html", options = {}) {
    return this.browser.openTab(this.server.url(path), options);
  }

  /** A number for the report, with its unit in the name. */
  measure(name, value) {
    this.measurements.push(`${name}=${Math.round(value * 10) / 10}`);
  }

  /** Runs at the end of the case, failed or not. */
  cleanup(run) {
    this.#cleanups.push(run);
  }

  async dispose() {
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
  }
}

/** Keeps a browser for the cases that can share one. */
class BrowserPool {
  #shared = new Map();

  constructor(run) {
    this.run = run;
  }

  async take(engine, { browser: options, kills = false }) {
    if (options !== undefined) return launchBrowser(this.run, engine, { ...options, kills });
    const key = `${engine} ${kills}`;
    if (!this.#shared.has(key)) {
      this.#shared.set(key, await launchBrowser(this.run, engine, { kills }));
    }
    return this.#shared.get(key);
  }

  /** A browser that was launched for one case, or in which one failed, is not used again. */
  async giveBack(browser, failed) {
    const entry = [...this.#shared].find(([, shared]) => shared === browser);
    if (entry !== undefined && !failed) return browser.closeTabs();
    if (entry !== undefined) this.#shared.delete(entry[0]);
    await browser.close();
  }

  async closeAll() {
    for (const browser of this.#shared.values()) await browser.close();
    this.#shared.clear();
  }
}

function fileNameOf(...parts) {
  return parts.join(" ").replaceAll(/[^a-z0-9]+/gi, "-");
}

/** Consoles, screenshots and last frames of all tabs, as text. Must not fail itself. */
export async function describeTabs(run, browser, name) {
  const lines = [];
  for (const tab of browser.tabs) {
    lines.push(`--- ${tab.label} (${tab.state})`);
    lines.push(...tab.console.map(({ level, text }) => `    [${level}] ${text}`));
    if (tab.state !== "open") continue;
    try {
      const path = join(run.screenshots, `${fileNameOf(name, tab.label)}.png`);
      await within(5_000, "screenshot", tab.screenshot(path));
      lines.push(`    screenshot ${path}`);
      const restarts = await tab.evaluateWithin(5_000, () => globalThis.restarts ?? []);
      lines.push(...restarts.map((cause) => `    the core began anew: ${cause}`));
      const lastFrames = (count) => (globalThis.__tabmqFrames ?? []).slice(-count).map(String);
      const frames = await tab.evaluateWithin(5_000, lastFrames, FRAMES_SHOWN);
      lines.push(...frames.map((frame) => `    frame ${frame}`));
    } catch (problem) {
      lines.push(`    ${problem.message}`);
    }
  }
  return lines.join("\n");
}

/** Rejects as soon as a promise fails that the case does not await yet: node would end the run. */
function nextRejection() {
  let listener;
  const promise = new Promise((_, reject) => (listener = reject));
  promise.catch(() => undefined);
  process.on("unhandledRejection", listener);
  return { promise, ignore: () => process.off("unhandledRejection", listener) };
}

/** Fails if a core began anew in a tab that is still there. */
async function requireNoRestart(browser) {
  for (const tab of browser.tabs.filter(({ state }) => state === "open")) {
    // A tab that does not answer was left so by its case.
    const ask = tab.evaluateWithin(2_000, () => globalThis.restarts ?? []);
    const causes = await ask.catch(() => []);
    if (causes.length > 0) throw new Error(`the core of ${tab.label} began anew: ${causes}`);
  }
}

async function runCase(run, pool, engine, test_case, host) {
  const started = performance.now();
  const { options, body } = test_case;
  const name = options.hosts ? `${test_case.name} [${host}]` : test_case.name;
  const browser = await pool.take(engine, options);
  browser.host = host;
  const folders = { "/": join(ROOT, "tests/browsers/pages"), ...options.folders };
  const server = await TestServer.start({ folders, orders: browser.orders });
  const context = new Context(run, engine, browser, server, host);
  const rejection = nextRejection();
  let failure;
  try {
    const ended = Promise.race([body(context), rejection.promise]);
    await within(options.deadline_ms ?? CASE_MS, `the case ended`, ended);
    if (!options.panics) await requireNoRestart(browser);
  } catch (error) {
    const tabs = await describeTabs(run, browser, `${engine} ${name}`);
    failure = `${error?.stack ?? error}\n${tabs}`;
  }
  try {
    await context.dispose();
    await pool.giveBack(browser, failure !== undefined);
  } catch (error) {
    failure = `${failure ?? ""}\ncleaning up: ${error.stack}`;
    await pool.giveBack(browser, true);
  }
  rejection.ignore();
  await server.close();
  const took = `${Math.round(performance.now() - started)} ms`;
  const facts = [took, ...context.measurements].join(", ");
  console.log(`${failure === undefined ? "ok    " : "FAILED"} ${engine}: ${name} (${facts})`);
  if (failure !== undefined) console.log(failure);
  return failure === undefined;
}

/** Where the node can run, as `connect` takes it; the first one is the default. */
export const HOSTS = ["auto", "tab", "worker"];

const repeated = (list, count) => Array.from({ length: count }, () => list).flat();

/** What is to run in an engine: each case as often as it has hosts and repeats. */
function turnsOf(engine, engines, chosen, { repeat, hosts, part }) {
  const meant = chosen.filter(({ options }) => (options.engines ?? engines).includes(engine));
  const turns = meant.flatMap((test_case) => {
    const { options } = test_case;
    const chosen_hosts = options.hosts ? hosts : [options.host ?? hosts[0]];
    return repeated(chosen_hosts, repeat).map((host) => ({ test_case, host }));
  });
  return turns.filter((_, index) => index % part.count === part.number - 1);
}

/** Runs the chosen cases in each engine; resolves with the counts. */
export async function runCases(run, engines, chosen, options) {
  const pool = new BrowserPool(run);
  const counts = { passed: 0, failed: 0 };
  try {
    for (const engine of engines) {
      for (const { test_case, host } of turnsOf(engine, engines, chosen, options)) {
        const passed = await runCase(run, pool, engine, test_case, host);
        counts[passed ? "passed" : "failed"] += 1;
      }
      await pool.closeAll();
    }
  } finally {
    await pool.closeAll();
  }
  return counts;
}
