import type { QueueListing, QueueStats } from "tabmq";
import { byId, make, setText } from "./dom";
import { bytesOf, countOf, errorText, plural } from "./format";
import type { Ledger } from "./ledger";
import { say } from "./live-forms";
import type { Log } from "./log";
import { MessageList } from "./message-list";
import type { Roster } from "./roster";
import { ASIDE, JOB_QUEUES, type PlaygroundBus } from "./schema";

const PEEK_MS = 1000;
const PEEK_MAX = 20;

/** One queue: what it is, what is in it, and what can be done to it by hand. */
export class QueueDetail {
  readonly #bus: PlaygroundBus;
  readonly #ledger: Ledger;
  readonly #log: Log;
  readonly #roster: Roster;
  readonly #refresh: () => void;
  readonly #answer = byId("inspect-answer", HTMLElement);
  readonly #messages: MessageList;
  #queue = "jobs";
  #paused = false;
  #peeking = false;
  #again = false;

  /** `refresh` is called when something was done to a queue. */
  constructor(
    bus: PlaygroundBus, ledger: Ledger, log: Log, roster: Roster, refresh: () => void,
  ) {
    this.#bus = bus;
    this.#ledger = ledger;
    this.#log = log;
    this.#roster = roster;
    this.#refresh = refresh;
    const actions = {
      remove: (id: string, number: number) =>
        this.#do(`${id} deleted`, () => this.#remove(id, number)),
      move: (id: string, number: number, into: string) =>
        this.#do(`${id} moved to ${into}`, () => this.#move(number, into)),
    };
    this.#messages = new MessageList(actions, [ASIDE]);
    this.#listen();
  }

  clear(queue: string): void {
    this.#queue = queue;
    this.#messages.show([], undefined);
    say(this.#answer, "done", "");
  }

  /** `queues` are all that there are. */
  show(listing: QueueListing | undefined, queues: readonly string[]): void {
    byId("queue-detail", HTMLElement).dataset["empty"] = String(!listing);
    setText(byId("detail-name", HTMLElement), listing?.name ?? "No queue yet");
    if (!listing) return;
    const { name, home, paused, policy, owner, traced, options, bytes } = listing;
    const { consumers, prepared } = listing;
    this.#queue = name;
    this.#paused = paused;
    const notes = [
      home === "hub" ? "lives at the hub" : "lives on this device",
      paused ? "paused" : "",
      policy ? `policy ${policy}` : "",
      owner ? `belongs to ${this.#roster.nameOf(owner)}` : "",
      traced ? "traced" : "",
      options.maxLength ? `at most ${countOf(options.maxLength)}` : "",
      options.maxDeliver && options.maxDeliver < 1000 ? `${options.maxDeliver} attempts` : "",
      options.maxPerKey ? `at most ${countOf(options.maxPerKey)} of a key` : "",
      options.lastValue ? "last values" : "",
      options.rate ? `${countOf(options.rate.limit)} per ${options.rate.per} ms` : "",
      prepared ? `${countOf(prepared)} prepared` : "",
      plural(consumers, "consumer"),
      bytesOf(bytes),
    ];
    byId("detail-notes", HTMLElement).replaceChildren(
      ...notes.filter(Boolean).map((note) => make("li", "tag", note)),
    );
    setText(byId("do-pause", HTMLElement), paused ? "Resume" : "Pause");
    byId("do-redrive", HTMLElement).hidden = !queues.includes(`${name}.dead`) && !isDead(name);
    const targets = new Set([...queues, ASIDE]);
    targets.delete(name);
    this.#messages.setTargets(Array.from(targets));
    void this.#peek();
  }

  /** The counts of the queue are others now. */
  changed(stats: QueueStats): void {
    this.#paused = stats.paused;
    setText(byId("do-pause", HTMLElement), stats.paused ? "Resume" : "Pause");
    void this.#peek();
  }

  #listen(): void {
    const press = (id: string, run: () => unknown) => {
      byId(id, HTMLButtonElement).addEventListener("click", () => void run());
    };
    press("do-pause", () => {
      const { admin } = this.#bus;
      const done = this.#paused ? "resumed" : "paused";
      const run = this.#paused ? admin.resume(this.#queue) : admin.pause(this.#queue);
      return this.#do(`${this.#queue} ${done}`, () => run);
    });
    press("do-redrive", () => this.#do("", () => this.#redrive()));
    press("do-export", () => this.#do("", () => this.#export()));
    const purge = byId("do-purge", HTMLButtonElement);
    const calm = () => {
      delete purge.dataset["sure"];
      setText(purge, "Purge");
    };
    purge.addEventListener("blur", calm);
    purge.addEventListener("click", () => {
      if (!purge.dataset["sure"]) {
        purge.dataset["sure"] = "yes";
        return setText(purge, "Sure? Purge");
      }
      calm();
      void this.#do("", () => this.#purge());
    });
    const file = byId("do-import", HTMLInputElement);
    file.addEventListener("change", () => {
      const [chosen] = Array.from(file.files ?? []);
      file.value = "";
      if (chosen) void this.#do("", () => this.#import(chosen));
    });
  }

  async #do(done: string, work: () => Promise<string | void>): Promise<void> {
    try {
      const text = (await work()) ?? done;
      say(this.#answer, "done", text);
      this.#log.add("bus", text);
    } catch (error) {
      say(this.#answer, "error", errorText(error));
      this.#log.add("error", `inspector: ${errorText(error)}`);
    }
    this.#refresh();
  }

  async #remove(id: string, number: number): Promise<string | void> {
    const gone = await this.#bus.admin.deleteMessage(this.#queue, number);
    if (!gone) return `${id} is delivered or gone`;
    if (JOB_QUEUES.has(this.#queue)) await this.#ledger.addDiscarded([id]);
    return undefined;
  }

  async #move(number: number, into: string): Promise<string | void> {
    if (into === ASIDE) await this.#bus.admin.declare(ASIDE);
    const where = { numbers: [number] };
    const moved = await this.#bus.admin.move(this.#queue, into, { where });
    return moved ? undefined : "It is delivered or gone, or there is no room";
  }

  async #redrive(): Promise<string> {
    const queue = isDead(this.#queue) ? this.#queue.slice(0, -".dead".length) : this.#queue;
    const count = await this.#bus.admin.redrive(queue);
    return count ? `${plural(count, "dead letter")} moved back` : "There are no dead letters";
  }

  async #purge(): Promise<string> {
    const ids = [];
    if (JOB_QUEUES.has(this.#queue)) {
      const look = { delayed: true, headersOnly: true };
      for await (const { id } of this.#bus.admin.peek(this.#queue, look)) ids.push(id);
    }
    const count = await this.#bus.admin.purge(this.#queue);
    await this.#ledger.addDiscarded(ids);
    return `${plural(count, "message")} purged`;
  }

  async #export(): Promise<string> {
    const file = await this.#bus.admin.export(this.#queue);
    const link = make("a", "");
    link.href = URL.createObjectURL(file);
    link.download = `${this.#queue}.tabmq`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), PEEK_MS);
    return `${this.#queue} exported, ${bytesOf(file.size)}`;
  }

  async #import(file: File): Promise<string> {
    const count = await this.#bus.admin.import(file, { into: this.#queue });
    return `${plural(count, "message")} imported`;
  }

  /** One look at a time, and a second one if something changed meanwhile. */
  async #peek(): Promise<void> {
    this.#again = this.#peeking;
    if (this.#peeking || document.hidden) return;
    this.#peeking = true;
    const queue = this.#queue;
    try {
      const found = [];
      const look = { delayed: true, leased: true, limit: PEEK_MAX + 1, timeout: PEEK_MS };
      for await (const message of this.#bus.admin.peek(queue, look)) found.push(message);
      const more = found.length > PEEK_MAX;
      if (queue === this.#queue) this.#messages.show(found.slice(0, PEEK_MAX), more);
    } catch {
      // The queue went, or the host: the next look tells.
    }
    setTimeout(() => {
      this.#peeking = false;
      if (this.#again) void this.#peek();
    }, PEEK_MS);
  }
}

function isDead(queue: string): boolean {
  return queue.endsWith(".dead");
}
