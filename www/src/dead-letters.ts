import type { Delivery } from "tabmq";
import { byId, make, makeButton } from "./dom";
import { errorText, plural, shortJson } from "./format";
import type { Ledger } from "./ledger";
import { say } from "./live-forms";
import type { Log } from "./log";
import { JOB_QUEUE, type PlaygroundBus } from "./schema";

const TAKEN_MAX = 5;
const NONE_MS = 600;

/** Shows dead letters under a lease: they go back by themselves unless something is done. */
class DeadLetters {
  readonly #bus: PlaygroundBus;
  readonly #ledger: Ledger;
  readonly #log: Log;
  readonly #list = byId("dead-letters", HTMLElement);
  readonly #answer = byId("dead-answer", HTMLElement);

  constructor(bus: PlaygroundBus, ledger: Ledger, log: Log) {
    this.#bus = bus;
    this.#ledger = ledger;
    this.#log = log;
  }

  listen(): void {
    const press = (id: string, run: () => Promise<void>) => {
      const button = byId(id, HTMLButtonElement);
      button.addEventListener("click", () => {
        button.disabled = true;
        void this.#guard(run()).finally(() => { button.disabled = false; });
      });
    };
    press("dead-take", () => this.#take());
    press("dead-redo", () => this.#redoAll());
  }

  get #letters() {
    return this.#bus.queue("jobs", JOB_QUEUE).deadLetters;
  }

  async #take(): Promise<void> {
    const letters = await this.#letters.receive({ max: TAKEN_MAX, timeout: NONE_MS });
    for (const letter of letters) this.#show(letter);
    say(this.#answer, "done", letters.length ? "" : "There are none to take");
  }

  async #redoAll(): Promise<void> {
    const count = await this.#bus.queue("jobs", JOB_QUEUE).redrive();
    say(this.#answer, "done", count ? `${plural(count, "job")} moved back` : "There are none");
    if (count) this.#log.add("sent", `${plural(count, "dead letter")} again`);
  }

  #show(letter: Delivery<unknown>): void {
    const row = make("li", "row");
    const finish = (settle: () => Promise<void>) => () => {
      row.remove();
      void this.#guard(settle());
    };
    row.append(
      make("code", "", letter.id),
      make("span", "row-note", history(letter), " ", shortJson(letter.body, 32)),
      makeButton("Again", `Send ${letter.id} again`, finish(() => this.#redo(letter))),
      makeButton("Discard", `Discard ${letter.id}`, finish(() => this.#discard(letter))),
    );
    letter.signal.addEventListener("abort", () => row.remove());
    this.#list.append(row);
  }

  /** Sent before it is settled: between the two it is there twice, never not at all. */
  async #redo(letter: Delivery<unknown>): Promise<void> {
    await this.#bus.queue("jobs", JOB_QUEUE).send(letter.body, { id: letter.id });
    await letter.ack();
    this.#log.add("sent", `${letter.id} again`);
  }

  async #discard(letter: Delivery<unknown>): Promise<void> {
    await letter.ack();
    await this.#ledger.addDiscarded(letter.id);
    this.#log.add("job", `${letter.id} discarded`);
  }

  async #guard(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      say(this.#answer, "error", errorText(error));
      this.#log.add("error", `dead letters: ${errorText(error)}`);
    }
  }
}

/** How it died, the last time first. */
function history({ deaths }: Delivery<unknown>): string {
  const text = deaths.map(({ note, reason, count }) => {
    const times = count > 1 ? ` (${count} times)` : "";
    return `${note ?? reason}${times}`;
  });
  return text.join(", before that ");
}

export function mountDeadLetters(bus: PlaygroundBus, ledger: Ledger, log: Log): void {
  const letters = new DeadLetters(bus, ledger, log);
  letters.listen();
}
