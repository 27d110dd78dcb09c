// One run: tabs under load, the events of a plan, and at the end everything drains.
import { setTimeout as delay } from "node:timers/promises";
import { act, chooseSlot } from "./events.mjs";
import { unixNow } from "./history.mjs";

/** However it is served, a message that is sent after an event is confirmed within this. */
const RECOVERY_MS = 120_000;
const DRAIN_MS = 180_000;
/** A run has at most so many stopped tabs, so that some are left to do the work. */
const STOPPED_MAX = 2;

export class Chaos {
  /** How long after each event a message that was sent after it was confirmed. */
  recoveries = [];
  done = {};
  #pending = [];
  #failure;
  #ended = false;

  /** `report` is told how it goes. */
  constructor({ fleet, history, report }) {
    Object.assign(this, { fleet, history, report });
  }

  /** Goes through the plan; resolves with what is stored and what is left once all has drained. */
  async run(events) {
    await this.fleet.openAll();
    this.report.say("all tabs are open");
    await this.#recover(unixNow(), { kind: "start", number: 0 });
    this.recoveries.length = 0;
    for (const event of events) {
      if (this.#ended) break;
      await this.#take(event);
      this.report.progress(this);
    }
    await Promise.all(this.#pending);
    if (this.#failure !== undefined) throw this.#failure;
    return this.#drain();
  }

  /** No more events: what was done is judged. */
  endEvents() {
    this.#ended = true;
  }

  async #take(event) {
    if (this.#failure !== undefined) throw this.#failure;
    while (event.kind === "stop" && this.#stopped() >= STOPPED_MAX) await delay(50);
    const slot = chooseSlot(this.fleet, event, this.history.host_realm);
    const { label } = this.fleet.slots[slot].tab;
    this.history.note("event", event.number, event.kind, label, this.history.host_realm);
    const since_ms = unixNow();
    const afterwards = await act(this.fleet, slot, event);
    this.done[event.kind] = (this.done[event.kind] ?? 0) + 1;
    const recovered = this.#recover(since_ms, event);
    recovered.catch((error) => (this.#failure ??= error));
    if (event.waits) await recovered;
    else this.#pending.push(recovered.catch(() => {}));
    await afterwards?.();
    await delay(event.pause_ms);
  }

  async #recover(since_ms, { kind, number }) {
    const what = `a message that is sent after event ${number} (${kind}) is confirmed`;
    const ms = await this.history.recovery(since_ms, RECOVERY_MS, what);
    this.recoveries.push(ms);
  }

  #stopped() {
    return this.fleet.slots.filter(({ tab }) => tab.state === "stopped").length;
  }

  async #drain() {
    this.report.say("no more events; the stopped tabs go on, and what is left drains");
    await this.fleet.resumeAll();
    const tabs = this.fleet.slots.map(({ tab }) => tab);
    for (const tab of tabs) await tab.evaluate(() => globalThis.chaos.stopProducing());
    for (const tab of tabs) {
      const options = { deadline_ms: DRAIN_MS, what: "every send has ended" };
      await tab.waitFor(() => globalThis.chaos.stopped(), options);
    }
    const [tab] = tabs;
    const empty = async () => (await globalThis.chaos.left()).waiting === 0;
    await tab.waitFor(empty, { deadline_ms: DRAIN_MS, what: "the queues are empty" });
    const left = await tab.evaluate(() => globalThis.chaos.left());
    return { left, effects: await readEffects(tab) };
  }
}

async function readEffects(tab) {
  const effects = [];
  for (;;) {
    const after = effects.at(-1)?.[0] ?? 0;
    const rows = await tab.evaluate((number) => globalThis.chaos.readEffects(number), after);
    if (rows.length === 0) return effects;
    for (const row of rows) effects.push(row);
  }
}
