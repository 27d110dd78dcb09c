// Chromium over CDP and Firefox over WebDriver BiDi, both through puppeteer-core: it needs no
// driver program and its session survives the death of a tab's process in both engines.
import puppeteer from "puppeteer-core";
import { findProcess, listProcesses, signal, until } from "../processes.mjs";
import { Browser, ContextLost, Tab } from "../tab.mjs";

const LAUNCH_MS = 120_000;
const NOTICE_MS = 30_000;

/** What both protocols say when the page asked is no longer there. */
const LOST = new RegExp(
  [
    "context was destroyed",
    "cannot find context",
    "context is not available",
    "detached",
    "discarded",
    "navigated or closed",
    "target closed",
    "session closed",
    "no such frame",
    "no such realm",
    "AbortError",
  ].join("|"),
  "i",
);

class PuppeteerTab extends Tab {
  constructor(browser, label, page) {
    super(browser, label);
    this.page = page;
    page.on("console", (message) => {
      this.console.push({ level: message.type(), text: message.text() });
    });
    page.on("pageerror", (error) => {
      this.console.push({ level: "error", text: String(error?.stack ?? error) });
    });
    // Without a listener the death of the page's process would end ours.
    page.on("error", (error) => this.console.push({ level: "crash", text: error.message }));
    page.setDefaultTimeout(0);
  }

  async _evaluate(expression) {
    try {
      return await this.page.evaluate(expression);
    } catch (error) {
      if (LOST.test(error.message)) throw new ContextLost(error.message);
      throw error;
    }
  }

  async _nextPage(within_ms) {
    // The protocol says when the next document is there by answering; ask it shortly.
    await new Promise((resolve) => setTimeout(resolve, Math.min(20, within_ms)));
  }

  async _navigate(url) {
    await this.page.goto(url, { waitUntil: "load" });
  }

  async _reload() {
    await this.page.reload({ waitUntil: "load" });
  }

  async _close(dead) {
    // A page without a process can't run its unload handlers, and its close may never be answered.
    await this.cover?.close();
    const closing = this.page.close({ runBeforeUnload: false });
    if (dead) closing.catch(() => {});
    else await closing;
  }

  /** Resolves when the engine knows that the tab's process has ended. */
  async _death() {
    if (this.browser.name === "chromium") {
      return new Promise((resolve) => this.page.once("error", resolve));
    }
    // Firefox raises no event: the tab goes to a crash page, where it refuses to evaluate.
    const refused = () => this.page.evaluate("1").then(() => false, () => true);
    await until(refused, NOTICE_MS, `${this.label} shows the crash page`);
  }

  async _hide() {
    await this.page.bringToFront();
    this.cover = await this.browser.session.newPage({ type: "tab" });
    await this.cover.bringToFront();
  }

  async _show() {
    await this.page.bringToFront();
    await this.cover?.close();
    this.cover = undefined;
  }

  async screenshot(path) {
    await this.page.screenshot({ path });
  }

}

export class PuppeteerBrowser extends Browser {
  /**
   * `options` are those of the engine: executable, flags, preferences.
   * The browser gets its own profile, process group and scratch folder from `run`.
   */
  static async launch(run, name, options) {
    const browser = new PuppeteerBrowser();
    browser.name = name;
    browser.color_scheme = options.color_scheme;
    browser.session = await puppeteer.launch({
      browser: name === "firefox" ? "firefox" : "chrome",
      headless: true,
      userDataDir: run.newProfile(name),
      env: run.environment(options.environment),
      timeout: LAUNCH_MS,
      protocolTimeout: LAUNCH_MS,
      // The run ends its browsers itself, on every way out.
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
      defaultViewport: null,
      ...options.launch,
    });
    browser.pid = browser.session.process().pid;
    run.addGroup(browser.pid);
    browser.version = await browser.session.version();
    return browser;
  }

  async _openTab(url, label, { viewport, hidden }) {
    const page = await this.session.newPage({ type: "window" });
    const tab = new PuppeteerTab(this, label, page);
    // Firefox has a preference for this, Chromium only the emulation.
    if (this.name === "chromium") {
      const feature = { name: "prefers-color-scheme", value: this.color_scheme };
      await page.emulateMediaFeatures([feature]);
    }
    if (viewport !== undefined) await page.setViewport(viewport);
    await page.goto(url, { waitUntil: "load" });
    if (hidden) await tab.hide();
    return tab;
  }

  async _cloneTab(original, label) {
    const opened = new Promise((resolve) => original.page.once("popup", resolve));
    await original.evaluate(() => void window.open(location.href, "_blank", "popup"));
    const tab = new PuppeteerTab(this, label, await opened);
    await tab.waitFor(() => document.readyState === "complete" && location.href !== "about:blank");
    return tab;
  }

  /** Ends the whole browser at once and waits until its processes are gone. */
  async close() {
    const group = this.pid;
    const members = () => listProcesses().filter((found) => found.group === group);
    this.session.disconnect();
    for (const { pid } of members()) signal(pid, "SIGKILL");
    await until(() => members().length === 0, 20_000, `the processes of ${this.name} ended`);
    if (findProcess(group) !== undefined) throw new Error(`${this.name} did not end`);
  }
}
