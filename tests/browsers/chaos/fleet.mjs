// The tabs of a run: each slot has one, opened anew when it died or was closed.
import { findProcess } from "../lib/processes.mjs";

/** Of a page or the browser, while eight tabs work and the machine may be busy beside that. */
const ANSWER_MS = 90_000;

export class Fleet {
  #browser;
  #server;
  #slots;
  #opened = 0;

  constructor({ browser, server, modes }) {
    this.#browser = browser;
    this.#server = server;
    this.#slots = modes.map((mode, index) => ({ index, mode, tab: undefined, pid: undefined }));
  }

  get slots() {
    return this.#slots;
  }

  async openAll() {
    for (const { index, mode } of this.#slots) await this.#prepare(index, mode);
    for (const { tab } of this.#slots) await tab.evaluate(() => globalThis.chaos.start());
  }

  /** Opens a tab in this slot and lets it begin. */
  async open(index, mode) {
    await this.#prepare(index, mode);
    await this.#slots[index].tab.evaluate(() => globalThis.chaos.start());
  }

  async #prepare(index, mode) {
    const slot = this.#slots[index];
    this.#opened += 1;
    const path = `/chaos/index.html?slot=${index}&host=${mode}&version=${index % 2}`;
    const label = `slot ${index}, tab ${this.#opened}`;
    const tab = await this.#browser.openTab(this.#server.url(path), {
      label,
      deadline_ms: ANSWER_MS,
    });
    await this.#loaded(tab);
    // Now, because no process stands out while all of them work.
    const pid = await tab.processId();
    Object.assign(slot, { tab, pid, mode, opened: this.#opened });
  }

  /** The tab of this slot is gone; forgets it, so that none of a long run piles up. */
  async forget(index) {
    const { tab } = this.#slots[index];
    await tab.close({ deadline_ms: ANSWER_MS });
    this.#browser.tabs.splice(this.#browser.tabs.indexOf(tab), 1);
  }

  /** Away to another page and back, whether that comes from the back/forward cache or anew. */
  async trip(index) {
    const { tab } = this.#slots[index];
    await tab.goto(this.#server.url("/blank.html"));
    await tab.back();
    await this.#running(tab);
  }

  async reload(index) {
    const { tab } = this.#slots[index];
    await tab.reload();
    await this.#running(tab);
  }

  async kill(index) {
    const { tab, pid } = this.#slots[index];
    await tab.kill(new Map([[tab, pid]]));
  }

  /** Stops the process; it goes on by itself after so long, unless it was killed meanwhile. */
  async stop(index, stopped_ms) {
    const { tab, pid } = this.#slots[index];
    await tab.stop(new Map([[tab, pid]]));
    setTimeout(() => this.#resume(tab), stopped_ms);
  }

  async resumeAll() {
    for (const { tab } of this.#slots) await this.#resume(tab);
  }

  isOpen(index) {
    return this.#slots[index].tab?.state === "open";
  }

  /** The slot itself, or the next one whose tab is not stopped. */
  openFrom(index) {
    for (let step = 0; step < this.#slots.length; step += 1) {
      const candidate = (index + step) % this.#slots.length;
      if (this.isOpen(candidate)) return candidate;
    }
    throw new Error("no tab is open");
  }

  /**
   * The slot whose process runs the node, as far as it can be told: a shared worker runs in the
   * process of a page that was there when it started, most likely the one opened first.
   */
  hosting(host_realm = "") {
    const [, place, of] = /^(tab|worker)-(\w+)-/.exec(host_realm) ?? [];
    if (place === undefined) return undefined;
    if (of !== "shared") return Number(of);
    const shared = this.#slots.filter(({ mode }) => mode === "auto" || mode === "shared-worker");
    return shared.toSorted((a, b) => a.opened - b.opened)[0]?.index;
  }

  async #resume(tab) {
    if (tab?.state === "stopped" && findProcess(tab.stopped_pid)) await tab.resume();
  }

  async #loaded(tab) {
    const what = "the page has loaded";
    await tab.waitFor(() => globalThis.chaos !== undefined, { what, deadline_ms: ANSWER_MS });
  }

  async #running(tab) {
    const what = "the page has begun again";
    await tab.waitFor(() => globalThis.chaos?.running(), { what, deadline_ms: ANSWER_MS });
  }
}
