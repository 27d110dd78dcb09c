import { make } from "./dom";
import { timeOf } from "./format";

export type LogKind = "sent" | "received" | "job" | "gap" | "error" | "bus";

interface Entry {
  readonly at: Date;
  readonly kind: LogKind;
  readonly text: string;
}

const ENTRIES_MAX = 200;
/** More than this at a time nobody reads, and a screen reader would never finish. */
const BATCH_MAX = 40;
const FLUSH_MS = 120;

/** The list of what happened in this tab, the newest first. */
export class Log {
  readonly #list: HTMLElement;
  #waiting: Entry[] = [];
  #dropped = 0;
  #timer: number | undefined;
  #paused = false;

  constructor(list: HTMLElement) {
    this.#list = list;
  }

  add(kind: LogKind, text: string): void {
    this.#waiting.push({ at: new Date(), kind, text });
    if (this.#waiting.length > ENTRIES_MAX) {
      this.#waiting.shift();
      this.#dropped += 1;
    }
    this.#schedule();
  }

  /** While it is paused nothing moves; what comes is kept, up to the bound. */
  pause(paused: boolean): void {
    this.#paused = paused;
    this.#schedule();
  }

  clear(): void {
    this.#waiting = [];
    this.#dropped = 0;
    this.#list.replaceChildren();
  }

  #schedule(): void {
    if (this.#paused || this.#timer !== undefined) return;
    this.#timer = window.setTimeout(() => this.#flush(), FLUSH_MS);
  }

  #flush(): void {
    this.#timer = undefined;
    if (this.#paused) return;
    const all = this.#waiting.splice(0);
    const shown = all.slice(-BATCH_MAX);
    const dropped = this.#dropped + all.length - shown.length;
    this.#dropped = 0;
    for (const entry of shown) this.#list.prepend(render(entry));
    const last = shown.at(-1);
    if (dropped && last) {
      this.#list.prepend(render({ ...last, kind: "bus", text: `and ${dropped} more, not shown` }));
    }
    while (this.#list.childElementCount > ENTRIES_MAX) this.#list.lastElementChild?.remove();
  }
}

function render({ at, kind, text }: Entry): HTMLElement {
  const time = make("time", "", timeOf(at));
  time.dateTime = at.toISOString();
  const line = make("p", "", time, make("b", "", kind), make("span", "", text));
  line.dataset["kind"] = kind;
  return line;
}
