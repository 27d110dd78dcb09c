// The mix of the main job again and again: two tabs live through all of it, the others are killed
// and closed and opened anew, and the node dies in every turn.
const FLIGHTS_PER_TURN = 4_000;
const TURN_MS = 120_000;
const KILL_FROM = 0.2;
const CLOSE_FROM = 0.5;
const WORKERS = ["B", "C", "D"];

export class Soak {
  #account = { turns: 0, messages: 0, lost: 0, late_effects: 0, resent: 0 };
  #epochs = new Set();
  #workers = new Map();
  #opened = 0;

  /** `say` takes one line of the account. */
  constructor({ browser, server, say }) {
    Object.assign(this, { browser, server, say });
  }

  /** Takes turns until the time is over, and resolves with the account of all of them. */
  async run(minutes) {
    const end_ms = performance.now() + minutes * 60_000;
    const started_ms = performance.now();
    // It lives longest, sends everything, and hosts the node from the first death on.
    await this.#openWorker("B");
    this.A = await this.#open("A");
    this.E = await this.#open("E");
    for (const role of ["C", "D"]) await this.#openWorker(role);
    await this.E.evaluate(() => globalThis.demo.serve());
    const first = await this.#takeTurn();
    let last = first;
    while (performance.now() < end_ms) last = await this.#takeTurn();
    const seconds = (performance.now() - started_ms) / 1_000;
    return {
      ...this.#account,
      epochs: this.#epochs.size,
      seconds: Math.round(seconds),
      messages_per_second: Math.round(this.#account.messages / seconds),
      wasm_bytes: last.wasm_bytes,
      wasm_growth: last.wasm_bytes / first.wasm_bytes,
      heap_bytes: last.heap_bytes,
      heap_growth: last.heap_bytes && last.heap_bytes / first.heap_bytes,
    };
  }

  async #open(role) {
    this.#opened += 1;
    const label = `${role}${this.#opened}`;
    const tab = await this.browser.openTab(this.server.url("/demo/index.html"), { label });
    await tab.waitFor(() => globalThis.demo !== undefined, { what: "the page has loaded" });
    await tab.evaluate((name) => globalThis.demo.ready(name), label);
    return tab;
  }

  async #openWorker(role) {
    const tab = await this.#open(role);
    await tab.evaluate(() => globalThis.demo.work());
    this.#workers.set(role, tab);
  }

  /** Resolves with the memory that is used after it. */
  async #takeTurn() {
    const first_id = this.#account.messages;
    // Now, because no process stands out while all of them work.
    const owners = await this.browser.requireOwnProcesses();
    const from = await this.E.evaluate(() => globalThis.demo.processed());
    this.say("every tab has a process of its own; A sends");
    const produce = (limit, id) => globalThis.demo.produce(limit, id);
    await this.A.evaluate(produce, FLIGHTS_PER_TURN, first_id);
    await this.#reach(from + KILL_FROM * FLIGHTS_PER_TURN);
    const killed = await this.#killHost(owners);
    await this.#reach(from + CLOSE_FROM * FLIGHTS_PER_TURN);
    const role = WORKERS[this.#account.turns % WORKERS.length];
    if (role !== killed) {
      await this.#workers.get(role).close();
      await this.#openWorker(role);
    }
    if (killed !== undefined) await this.#openWorker(killed);
    this.say("a worker was closed, and those that are gone were opened anew");
    await this.#settle(first_id);
    const memory = await this.#memory();
    this.say(`A uses ${JSON.stringify(memory)}`);
    return memory;
  }

  async #reach(wanted) {
    const enough = (count) => globalThis.demo.processed() >= count;
    await this.E.waitFor(enough, { args: [wanted], deadline_ms: TURN_MS, what: "enough is done" });
  }

  /** The host dies: with its tab if that is a worker, whose role is returned, else alone. */
  async #killHost(owners) {
    for (const [role, tab] of this.#workers) {
      const { here } = await tab.evaluate(() => globalThis.demo.host());
      if (!here) continue;
      await tab.kill(owners);
      this.say(`${tab.label}, the host, was killed`);
      return role;
    }
    await this.A.evaluate(() => globalThis.demo.killNode());
    this.say("the node was killed in its tab");
    return undefined;
  }

  /** Waits until nothing is on its way, and adds this turn to the account. */
  async #settle(first_id) {
    const sent = () => globalThis.demo.sending().done || globalThis.demo.sending().error;
    await this.A.waitFor(sent, { deadline_ms: TURN_MS, what: "A has sent everything" });
    const { error, resent } = await this.A.evaluate(() => globalThis.demo.sending());
    if (error !== null) throw new Error(`A could not send everything: ${error}`);
    const empty = async () => {
      const { ready, delayed, leased } = await globalThis.demo.queueInfo();
      return ready + delayed + leased === 0;
    };
    await this.A.waitFor(empty, { deadline_ms: TURN_MS, what: "the queue is empty" });
    const stock = await this.A.evaluate((id) => globalThis.demo.takeStock(id), first_id);
    const { epoch } = await this.A.evaluate(() => globalThis.demo.host());
    const account = this.#account;
    this.#epochs.add(epoch);
    account.turns += 1;
    account.messages += FLIGHTS_PER_TURN;
    // A flight that is missing is lost, confirmed or not: the sender repeats what has no answer.
    account.lost += Math.max(stock.lost, FLIGHTS_PER_TURN - (stock.effects - stock.late));
    account.late_effects += stock.late;
    account.resent += resent;
    const found = `${stock.effects} effects, ${stock.lost} lost, ${stock.late} late`;
    this.say(`turn ${account.turns}, epoch ${epoch}: ${found}; ${account.messages} flights so far`);
  }

  /** Of the tab that lives longest. The heap only where the engine tells it. */
  async #memory() {
    const wasm_bytes = await this.A.evaluate(() => globalThis.demo.wasmBytes());
    if (this.browser.name !== "chromium") return { wasm_bytes };
    const session = await this.A.page.createCDPSession();
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    await session.detach();
    return { wasm_bytes, heap_bytes: usedSize };
  }
}
