import type { Host, QueueListing, QueueStats } from "tabmq";
import { byId, make, setText } from "./dom";
import { countOf, errorText, rateOf } from "./format";
import type { Ledger } from "./ledger";
import type { Log } from "./log";
import { QueueDetail } from "./queue-detail";
import type { Roster } from "./roster";
import type { PlaygroundBus } from "./schema";

/** Where the node runs, in words. */
const RUNS: Readonly<Record<Host["kind"], string>> = {
  "shared-worker": "in a worker of all pages",
  worker: "in a worker of one page",
  tab: "in a page",
  inline: "in this process",
  hub: "at a hub",
};

/** How often it is asked which queues there are; their counts come by themselves. */
const LIST_MS = 2000;
const ANSWER_MS = 2000;

interface Row {
  readonly element: HTMLTableRowElement;
  readonly name: HTMLButtonElement;
  readonly cells: ReadonlyMap<Column, HTMLTableCellElement>;
  readonly stop: () => void;
}

const COLUMNS = ["waiting", "leased", "sent", "acked", "consumers"] as const;
type Column = (typeof COLUMNS)[number];

/** All queues of the bus, and one of them to look into. */
export class Inspector {
  readonly #bus: PlaygroundBus;
  readonly #log: Log;
  readonly #body = byId("queue-rows", HTMLElement);
  readonly #rows = new Map<string, Row>();
  readonly #detail: QueueDetail;
  #selected = "jobs";

  constructor(bus: PlaygroundBus, ledger: Ledger, log: Log, roster: Roster) {
    this.#bus = bus;
    this.#log = log;
    this.#detail = new QueueDetail(bus, ledger, log, roster, () => void this.#list());
    bus.host.subscribe(() => this.#showFacts());
    this.#showFacts();
  }

  async run(): Promise<never> {
    for (;;) {
      if (!document.hidden) await this.#list();
      await new Promise((resolve) => { setTimeout(resolve, LIST_MS); });
    }
  }

  #showFacts(): void {
    const { epoch, here, kind, storage, durability, fenced } = this.#bus.host.get();
    const facts = {
      host: here ? "this tab" : kind === "tab" ? "another tab" : "a worker",
      epoch: String(epoch),
      runs: RUNS[kind],
      storage: storage === "indexeddb" ? "IndexedDB" : "memory",
      durability,
      fenced: fenced ? "yes" : "no",
    };
    for (const [name, text] of Object.entries(facts)) {
      setText(byId(`fact-${name}`, HTMLElement), epoch ? text : "\u2013");
    }
  }

  async #list(): Promise<void> {
    const found = new Map<string, QueueListing>();
    try {
      const wait = { timeout: ANSWER_MS };
      for await (const queue of this.#bus.admin.list(undefined, wait)) found.set(queue.name, queue);
    } catch (error) {
      // Nor does a hub that is away, and that is told elsewhere.
      if (this.#bus.status.get() === "offline") return;
      // Between two hosts nobody answers, and the next look comes soon.
      return this.#log.add("error", `inspector: ${errorText(error)}`);
    }
    for (const [name, row] of this.#rows) {
      if (found.has(name)) continue;
      row.stop();
      row.element.remove();
      this.#rows.delete(name);
    }
    const names = Array.from(found.keys());
    for (const [name, { home }] of found) {
      if (!this.#rows.has(name)) this.#add(name);
      const row = this.#rows.get(name);
      if (row) row.element.dataset["home"] = home;
    }
    const inOrder = names.map((name) => this.#rows.get(name)?.element).filter((row) => !!row);
    if (inOrder.some((row, index) => this.#body.children[index] !== row)) {
      this.#body.replaceChildren(...inOrder);
    }
    if (!found.has(this.#selected)) this.#selected = names[0] ?? "jobs";
    this.#select(this.#selected);
    this.#detail.show(found.get(this.#selected), names);
  }

  #add(queue: string): void {
    const name = make("button", "queue-name", queue);
    name.type = "button";
    name.addEventListener("click", () => {
      this.#select(queue);
      void this.#list();
    });
    const cells = new Map(COLUMNS.map((column) => [column, make("td", "")] as const));
    for (const [column, cell] of cells) cell.dataset["column"] = column;
    const head = make("th", "", name);
    head.scope = "row";
    const element = make("tr", "", head, ...cells.values());
    element.dataset["queue"] = queue;
    const { stats } = this.#bus.queue<unknown>(queue);
    const stop = stats.subscribe((now) => {
      this.#showRow(queue, now);
      if (queue === this.#selected) this.#detail.changed(now);
    });
    this.#rows.set(queue, { element, name, cells, stop });
    this.#showRow(queue, stats.get());
  }

  #showRow(queue: string, stats: QueueStats): void {
    const { ready, delayed, leased, sentPerSecond, ackedPerSecond, consumers, paused } = stats;
    const row = this.#rows.get(queue);
    if (!row) return;
    const texts: Record<Column, string> = {
      waiting: countOf(ready + delayed),
      leased: countOf(leased),
      sent: rateOf(sentPerSecond),
      acked: rateOf(ackedPerSecond),
      consumers: countOf(consumers),
    };
    row.element.dataset["paused"] = String(paused);
    for (const [column, cell] of row.cells) setText(cell, texts[column]);
  }

  #select(queue: string): void {
    const changed = this.#selected !== queue;
    this.#selected = queue;
    for (const [name, row] of this.#rows) {
      row.name.setAttribute("aria-pressed", String(name === queue));
    }
    if (changed) this.#detail.clear(queue);
  }
}
