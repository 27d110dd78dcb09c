// The main job of the demo: five tabs share the flights while they are killed, closed, stopped.
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { setTimeout as delay } from "node:timers/promises";

const STOPPED_MS = 10_000;
const FINISH_MS = 300_000;
const KILL_FROM = 0.2;
const CLOSE_FROM = 0.5;
/** A fault may come this much later than the share it is due at. */
const WINDOW = { kill: 0.4, close: 0.6 };

export class Job {
  /** `say` takes one line of the account. */
  constructor({ browser, server, records, say }) {
    Object.assign(this, { browser, server, records, say });
  }

  /** Runs it all and resolves with what was measured; judges nothing but its own conditions. */
  async run(expected) {
    const started_ms = performance.now();
    await this.openTabs();
    await this.startWork();
    const killed = await this.killHost();
    await this.closeWorker();
    await this.stopWorker();
    await this.waitForEnd();
    const seconds = (performance.now() - started_ms) / 1_000;
    return this.measure(expected, killed, seconds);
  }

  async openTabs() {
    // B is first, so it becomes the host.
    for (const role of ["B", "A", "C", "D", "E"]) this[role] = await this.open(role);
    const host = await this.B.evaluate(() => globalThis.demo.host());
    assert.equal(host.here, true, "B holds the epoch");
    assert.equal(host.storage, "indexeddb");
    for (const tab of [this.A, this.C, this.D, this.E]) {
      const seen = await tab.evaluate(() => globalThis.demo.host());
      assert.deepEqual([seen.here, seen.epoch], [false, host.epoch], `${tab.label} follows B`);
    }
    this.owners = await this.browser.requireOwnProcesses();
    const processes = [...this.owners].map(([tab, pid]) => `${tab.label} ${pid}`).join(", ");
    this.say(`five visible tabs, each in a process of its own: ${processes}`);
    this.say(`B hosts the node, epoch ${host.epoch}`);
    this.first_epoch = host.epoch;
  }

  async open(role) {
    const tab = await this.browser.openTab(this.server.url("/demo/index.html"), { label: role });
    await tab.waitFor(() => globalThis.demo !== undefined, { what: "the page has loaded" });
    await tab.evaluate((name) => globalThis.demo.ready(name), role);
    assert.equal(await tab.evaluate(() => document.visibilityState), "visible", role);
    return tab;
  }

  async startWork() {
    await this.E.evaluate(() => globalThis.demo.serve());
    for (const tab of [this.B, this.C, this.D]) await tab.evaluate(() => globalThis.demo.work());
    await this.A.evaluate((limit) => globalThis.demo.produce(limit), this.records);
    this.say(`A sends ${this.records} flights; B, C and D process them and call E`);
  }

  /** Waits until that share of the flights has an effect. */
  async reach(share, what) {
    const enough = (wanted) => globalThis.demo.processed() >= wanted;
    const options = { args: [share * this.records], deadline_ms: FINISH_MS, what };
    await this.E.waitFor(enough, options);
  }

  async shareDone() {
    return (await this.E.evaluate(() => globalThis.demo.effects())) / this.records;
  }

  async killHost() {
    await this.reach(KILL_FROM, "enough is done to kill the host");
    const killed_unix_ms = await this.B.kill(this.owners);
    const share = await this.shareDone();
    this.say(`${percent(share)}: B's process was killed, and the node with it`);
    assert.ok(share >= KILL_FROM && share <= WINDOW.kill, `B was killed at ${percent(share)}`);
    return killed_unix_ms;
  }

  async closeWorker() {
    await this.reach(CLOSE_FROM, "enough is done to close a worker");
    await this.C.close();
    const share = await this.shareDone();
    this.say(`${percent(share)}: C was closed`);
    assert.ok(share >= CLOSE_FROM && share <= WINDOW.close, `C was closed at ${percent(share)}`);
  }

  async stopWorker() {
    await this.D.evaluate(() => globalThis.demo.hold());
    // A stopped tab with a transaction of its own would hold up everyone's effects.
    await this.D.waitFor(() => globalThis.demo.holdsAll(), { what: "D holds deliveries" });
    await this.D.stop(this.owners);
    this.say(`${percent(await this.shareDone())}: D was stopped while it holds deliveries`);
    const stopped = delay(STOPPED_MS);
    this.B = await this.open("B again");
    this.C = await this.open("C again");
    for (const tab of [this.B, this.C]) await tab.evaluate(() => globalThis.demo.work());
    this.say("B and C were opened again and work");
    await stopped;
    await this.D.resume();
    await this.D.evaluate(() => globalThis.demo.letGo());
    this.say(`${percent(await this.shareDone())}: D goes on after ${STOPPED_MS / 1_000} s`);
    const acked = () => globalThis.demo.counts().stale_acks > 0 && globalThis.demo.held() === 0;
    await this.D.waitFor(acked, { deadline_ms: 30_000, what: "D's late acks are refused" });
    // The others may have done all there was by then, and D tells of itself only now and then.
    const told = (count) => globalThis.demo.sums().stale_acks >= count;
    const counted = await this.D.evaluate(() => globalThis.demo.counts().stale_acks);
    await this.A.waitFor(told, { args: [counted], what: "A hears of D's late acks" });
  }

  async waitForEnd() {
    const sent = () => globalThis.demo.sending().done || globalThis.demo.sending().error;
    await this.A.waitFor(sent, { deadline_ms: FINISH_MS, what: "A has sent everything" });
    const { error, resent } = await this.A.evaluate(() => globalThis.demo.sending());
    assert.equal(error, null, "A could send everything");
    if (resent > 0) this.say(`A sent ${resent} flights again, because it got no answer`);
    const finished = async (records) => {
      const { ready, delayed, leased } = await globalThis.demo.queueInfo();
      return ready + delayed + leased === 0 && (await globalThis.demo.effects()) >= records;
    };
    const options = { args: [this.records], deadline_ms: FINISH_MS, what: "the queue is empty" };
    await this.A.waitFor(finished, options);
    this.say("every flight has its effect, and the queue is empty");
  }

  async measure(expected, killed_unix_ms, seconds) {
    const info = await this.A.evaluate(() => globalThis.demo.queueInfo());
    const sums = await this.A.evaluate(() => globalThis.demo.sums());
    const totals = await this.A.evaluate(() => globalThis.demo.totals());
    const lost = await this.A.evaluate(() => globalThis.demo.lost());
    const seen = await Promise.all(
      [this.A, this.B, this.C, this.D, this.E].map((tab) =>
        tab.evaluate(() => globalThis.demo.epochs()),
      ),
    );
    const epochs = new Map(seen.flat().filter(([, delivered]) => delivered !== null));
    const first_deliveries = seen
      .flat()
      .filter(([epoch, delivered]) => epoch > this.first_epoch && delivered !== null)
      .map(([, delivered]) => delivered - killed_unix_ms);
    return {
      records: this.records,
      processed: info.ackedTotal,
      lost: lost.length,
      effects: totals.count,
      suppressed: sums.suppressed,
      redelivered: info.redeliveredTotal,
      stale_acks: sums.stale_acks,
      totals_equal: isDeepStrictEqual(totals, expected),
      epochs: epochs.size,
      kill_to_first_delivery_ms: Math.round(Math.min(...first_deliveries)),
      messages_per_second: Math.round(this.records / seconds),
      seconds: Math.round(seconds * 10) / 10,
    };
  }
}

function percent(share) {
  return `${(share * 100).toFixed(1)} %`;
}
