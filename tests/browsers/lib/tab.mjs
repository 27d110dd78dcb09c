// What a test can do with one tab, the same in every engine.
// Engines supply `_evaluate`, `_navigate`, `_close` and the rest of the methods named so.
import {
  commandLine,
  findProcess,
  listDescendants,
  residentPages,
  signal,
  until,
} from "./processes.mjs";

/**
 * Longest a page may take over anything that has no deadline of its own. A machine that does much
 * else at the time takes long over everything; a case that is to prove haste says how much.
 */
const ANSWER_MS = 30_000;
/** How long one question of `waitFor` stays inside the page. */
const POLL_SLICE_MS = 1_000;
const STOPPED_SILENCE_MS = 100;
/** What the command lines of processes that run pages have in them, in the three engines. */
const PAGE_PROCESS = /--type=renderer|-isForBrowser|WebKitWebProcess/;
/** What a page fills to be known by it, and how much more or less a process may show of it. */
const BALLAST_MIB = 20;
const BALLAST_SLACK_MIB = 3;
/** A page that collects its garbage, or does much at the time, has to fill memory again. */
const FOUND_MS = 90_000;
const PAGES_PER_MIB = 256;

/** The page navigated or went away while it was asked something. */
export class ContextLost extends Error {}

/** A deadline passed. */
export class Late extends Error {}

/** Rejects after `deadline_ms`, naming what was waited for. */
export async function within(deadline_ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    const error = new Late(`not within ${deadline_ms} ms: ${what}`);
    timer = setTimeout(reject, deadline_ms, error);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function expressionOf(run, args) {
  const call = `(${run})(...${JSON.stringify(args)})`;
  // Text, so that every engine gives the same values back.
  return `(async () => JSON.stringify((await ${call}) ?? null))()`;
}

/** Runs in the page: fills so much memory, and drops what it filled before. */
function fill(mib) {
  globalThis.__ballast = mib === 0 ? undefined : new Uint8Array(mib << 20).fill(1);
}

/**
 * Runs in the page: asks until the predicate holds or the budget is used up. A document that is
 * still being read is not asked: what a predicate looks up in it is not there yet.
 */
function pollSource(predicate) {
  return `async (args, budget_ms) => {
    const end = performance.now() + budget_ms;
    for (;;) {
      const whole = document.readyState !== "loading";
      const value = whole && await (${predicate})(...args);
      if (value) return { value };
      if (performance.now() > end) return null;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }`;
}

export class Tab {
  /** What the page wrote, oldest first: `{ level, text }`. */
  console = [];
  /** "open", "stopped", "killed" or "closed". */
  state = "open";

  constructor(browser, label) {
    this.browser = browser;
    this.label = label;
  }

  /** Runs a function in the page; arguments and result travel as JSON. */
  async evaluate(run, ...args) {
    return this.evaluateWithin(ANSWER_MS, run, ...args);
  }

  async evaluateWithin(deadline_ms, run, ...args) {
    this.#requireAlive();
    const answer = this._evaluate(expressionOf(run, args));
    const text = await within(deadline_ms, `${this.label} answers`, answer);
    return JSON.parse(text);
  }

  /**
   * Resolves with the first truthy value of `predicate`, which is asked inside the page.
   * A navigation in between is survived: the next page is asked.
   */
  async waitFor(predicate, { args = [], deadline_ms = ANSWER_MS, what = String(predicate) } = {}) {
    const end = performance.now() + deadline_ms;
    const source = pollSource(predicate);
    const late = () => new Error(`${this.label}: not within ${deadline_ms} ms: ${what}`);
    for (;;) {
      const left_ms = end - performance.now();
      if (left_ms <= 0) throw late();
      try {
        // Slices, because a page put into the back/forward cache answers neither yes nor no.
        const budget_ms = Math.min(left_ms, POLL_SLICE_MS);
        const found = await this.evaluateWithin(budget_ms + POLL_SLICE_MS, source, args, budget_ms);
        if (found !== null) return found.value;
      } catch (error) {
        if (!(error instanceof ContextLost || error instanceof Late)) throw error;
        await this._nextPage(Math.max(1, end - performance.now()));
      }
    }
  }

  /** Resolves with the first console message, past or coming, whose text matches. */
  async waitForConsole(pattern, deadline_ms = ANSWER_MS) {
    const find = () => this.console.find(({ text }) => pattern.test(text));
    return until(find, deadline_ms, `${this.label} writes ${pattern} to its console`);
  }

  /** Whether the page answers at all within the time given. */
  async answers(within_ms) {
    const answer = this._evaluate(expressionOf(() => true, []));
    answer.catch(() => {});
    const silence = new Promise((resolve) => setTimeout(resolve, within_ms, false));
    return Promise.race([answer.then(() => true), silence]);
  }

  /** Loads an address and waits for its load event. */
  async goto(path) {
    this.#requireAlive();
    await within(ANSWER_MS, `${this.label} loads ${path}`, this._navigate(path));
  }

  async reload() {
    this.#requireAlive();
    await within(ANSWER_MS, `${this.label} reloads`, this._reload());
  }

  /** Starts one step back. What comes, and whether from the cache, is for `waitFor` to see. */
  async back() {
    await this.evaluate(() => void setTimeout(() => history.back()));
  }

  /** Puts another tab before this one in the same window: this one becomes hidden. */
  async hide() {
    this.#requireAlive();
    await within(ANSWER_MS, `${this.label} is hidden`, this._hide());
  }

  /** Brings the tab to the front of its window. */
  async show() {
    this.#requireAlive();
    await within(ANSWER_MS, `${this.label} is shown`, this._show());
  }

  /** Opens the same page again as a browser's "duplicate" does: sessionStorage is copied. */
  async clone() {
    this.#requireAlive();
    return this.browser.addClone(this);
  }

  async close({ deadline_ms = ANSWER_MS } = {}) {
    if (this.state === "closed") return;
    const dead = this.state === "killed";
    this.state = "closed";
    await within(deadline_ms, `${this.label} closes`, this._close(dead));
  }

  /**
   * The process that runs this page: it fills some memory twice, and among the browser's processes
   * for pages the one is taken that grew by that much both times. Time would tell less: on a busy
   * machine a page gets little of it, and others take some at any moment.
   */
  async processId() {
    const end = performance.now() + FOUND_MS;
    for (let mib = BALLAST_MIB; performance.now() < end; mib += 1) {
      const once = await this.#grownBy(mib);
      const twice = await this.#grownBy(mib + 2 * BALLAST_SLACK_MIB);
      const both = once.filter((pid) => twice.includes(pid));
      if (both.length === 1) return both[0];
    }
    throw new Error(`${this.label}: no process stands out while the page fills memory`);
  }

  /**
   * SIGKILL to the tab's process. Resolves with the wall time of the signal, in ms.
   * `owners`: what `requireOwnProcesses` found before, for a moment with no time to ask again.
   */
  async kill(owners) {
    const pid = await this.#ownProcess(owners);
    this.state = "killed";
    const noticed = this._death();
    const killed_unix_ms = performance.timeOrigin + performance.now();
    signal(pid, "SIGKILL");
    await until(() => findProcess(pid) === undefined, ANSWER_MS, `process ${pid} ended`);
    // Else it was another page's process, and what the test sees next would mean nothing.
    await within(ANSWER_MS, `the browser notices the death of ${this.label}`, noticed);
    return killed_unix_ms;
  }

  /** SIGSTOP to the tab's process: nothing of the page runs until `resume`. `owners` as above. */
  async stop(owners) {
    const pid = await this.#ownProcess(owners);
    signal(pid, "SIGSTOP");
    await until(() => findProcess(pid)?.state === "T", ANSWER_MS, `process ${pid} stopped`);
    if (await this.answers(STOPPED_SILENCE_MS)) {
      signal(pid, "SIGCONT");
      throw new Error(`${this.label} answers although process ${pid} is stopped`);
    }
    this.state = "stopped";
    this.stopped_pid = pid;
  }

  /** SIGCONT after `stop`. */
  async resume() {
    if (this.state !== "stopped") throw new Error(`${this.label} is not stopped`);
    signal(this.stopped_pid, "SIGCONT");
    this.state = "open";
  }

  /** Fails unless every open tab has a process of its own; else a signal would hit two. */
  async #ownProcess(owners) {
    const known = owners ?? (await this.browser.requireOwnProcesses());
    return known.get(this);
  }

  /** The processes for pages that grew by so much while the page filled as much. */
  async #grownBy(mib) {
    const before = this.#residentPages();
    await this.evaluate(fill, mib);
    const after = this.#residentPages();
    await this.evaluate(fill, 0);
    return [...after.keys()].filter((pid) => {
      const grown_mib = (after.get(pid) - before.get(pid)) / PAGES_PER_MIB;
      return Math.abs(grown_mib - mib) < BALLAST_SLACK_MIB;
    });
  }

  #residentPages() {
    const pids = listDescendants(this.browser.pid).map(({ pid }) => pid);
    const pages = pids.filter((pid) => PAGE_PROCESS.test(commandLine(pid)));
    return new Map(pages.map((pid) => [pid, residentPages(pid)]));
  }

  #requireAlive() {
    if (this.state === "killed" || this.state === "closed") {
      throw new Error(`${this.label} is ${this.state}`);
    }
  }
}

/** A browser of any engine: its tabs and what holds for all of them. */
export class Browser {
  tabs = [];
  #opened = 0;

  /**
   * Opens a tab in a window of its own, so that no tab hides another, and waits for its load.
   * `viewport`: width and height of the page in CSS pixels. `hidden`: behind another tab.
   * `deadline_ms`: for all of it.
   */
  async openTab(url, { label, viewport, hidden = false, deadline_ms = ANSWER_MS } = {}) {
    this.#opened += 1;
    label ??= `tab ${this.#opened}`;
    const opening = this._openTab(url, label, { viewport, hidden });
    const tab = await within(deadline_ms, `${label} opens ${url}`, opening);
    this.tabs.push(tab);
    return tab;
  }

  async addClone(original) {
    this.#opened += 1;
    const label = `tab ${this.#opened}, cloned from ${original.label}`;
    const tab = await within(ANSWER_MS, `${label} opens`, this._cloneTab(original, label));
    this.tabs.push(tab);
    return tab;
  }

  /** The process of each open tab. Fails if two share one. */
  async requireOwnProcesses() {
    const owners = new Map();
    for (const tab of this.tabs) {
      if (tab.state === "open") owners.set(tab, await tab.processId());
      if (tab.state === "stopped") owners.set(tab, tab.stopped_pid);
    }
    const tab_of = new Map();
    for (const [tab, pid] of owners) {
      if (tab_of.has(pid)) {
        throw new Error(`${tab.label} and ${tab_of.get(pid).label} share process ${pid}`);
      }
      tab_of.set(pid, tab);
    }
    return owners;
  }

  async closeTabs() {
    for (const tab of this.tabs) if (tab.state === "stopped") await tab.resume();
    for (const tab of this.tabs) await tab.close();
    this.tabs = [];
  }
}
