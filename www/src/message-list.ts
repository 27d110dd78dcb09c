import type { QueuedMessage } from "tabmq";
import { byId, make, makeButton, setText } from "./dom";
import { bytesOf, longJson, plural, shortJson, timeOf } from "./format";

type Message = QueuedMessage<unknown>;

export interface MessageActions {
  remove(id: string, number: number): Promise<void>;
  move(id: string, number: number, into: string): Promise<void>;
}

const STATES = { ready: "waiting", delayed: "delayed", leased: "in work" } as const;

/** The first messages of a queue. Those that stay keep their place, open or not. */
export class MessageList {
  #targets: readonly string[];
  readonly #actions: MessageActions;
  readonly #list = byId("peeked", HTMLElement);
  readonly #note = byId("peeked-note", HTMLElement);
  readonly #shown = new Map<number, { element: HTMLLIElement; key: string }>();

  /** `targets` are queues that a message may be moved to. */
  constructor(actions: MessageActions, targets: readonly string[]) {
    this.#actions = actions;
    this.#targets = targets;
  }

  /** Messages may be shown before all queues are known, so those that are get the new ones too. */
  setTargets(targets: readonly string[]): void {
    if (targets.join() === this.#targets.join()) return;
    this.#targets = targets;
    for (const select of this.#list.querySelectorAll("select")) {
      const { value } = select;
      select.replaceChildren(...this.#options());
      if (targets.includes(value)) select.value = value;
    }
  }

  #options(): HTMLElement[] {
    return this.#targets.map((name) => make("option", "", name));
  }

  /** `more`: there are others behind them; undefined if nobody has looked yet. */
  show(messages: readonly Message[], more: boolean | undefined): void {
    const numbers = new Set(messages.map(({ number }) => number));
    for (const [number, { element }] of this.#shown) {
      if (numbers.has(number)) continue;
      element.remove();
      this.#shown.delete(number);
    }
    for (const [index, message] of messages.entries()) {
      const element = this.#item(message);
      if (this.#list.children[index] !== element) {
        this.#list.insertBefore(element, this.#list.children[index] ?? null);
      }
    }
    const some = more ? `The first ${messages.length}; there are more` : "";
    setText(this.#note, messages.length || more === undefined ? some : "It is empty");
  }

  #item(message: Message): HTMLLIElement {
    const { number, state, attempts, dueAt, deaths } = message;
    const key = [state, attempts, dueAt?.getTime(), deaths.length].join();
    const known = this.#shown.get(number);
    if (known?.key === key) return known.element;
    const element = this.#make(message);
    const open = known?.element.querySelector("details")?.open ?? false;
    for (const details of element.querySelectorAll("details")) details.open = open;
    known?.element.replaceWith(element);
    this.#shown.set(number, { element, key });
    return element;
  }

  #make(message: Message): HTMLLIElement {
    const { id, state, attempts, body } = message;
    const badge = make("span", "state", STATES[state]);
    badge.dataset["state"] = state;
    const tries = attempts ? make("span", "tag", plural(attempts, "failure")) : "";
    const summary = make(
      "summary", "", make("code", "", id), badge, tries,
      make("span", "peeked-body", shortJson(body, 60)),
    );
    const details = make("details", "", summary, this.#inside(message));
    return make("li", "", details);
  }

  #inside(message: Message): HTMLElement {
    const { body, bodyBytes, headers, storedAt, dueAt, number, traceparent } = message;
    const facts: [string, string][] = [
      ["Stored", timeOf(storedAt)],
      ["Number", String(number)],
      ["Length", bytesOf(bodyBytes)],
    ];
    if (dueAt) facts.push(["Comes due", timeOf(dueAt)]);
    if (Object.keys(headers).length) facts.push(["Headers", shortJson(headers)]);
    if (traceparent) facts.push(["Trace", traceparent]);
    const list = make("dl", "facts", ...facts.map(([name, text]) =>
      make("div", "", make("dt", "", name), make("dd", "", text))));
    const inside = make("div", "peeked-inside", make("pre", "", longJson(body)), list);
    inside.append(...history(message), this.#buttons(message));
    return inside;
  }

  #buttons({ id, number, state }: Message): HTMLElement {
    const remove = makeButton("Delete", `Delete ${id}`, () => {
      void this.#actions.remove(id, number);
    });
    const target = make("select", "");
    target.setAttribute("aria-label", `Where to move ${id}`);
    target.append(...this.#options());
    const move = makeButton("Move", `Move ${id}`, () => {
      void this.#actions.move(id, number, target.value);
    });
    for (const button of [remove, move]) button.className = "button small";
    // What is delivered stays where it is.
    for (const part of [remove, move, target]) part.disabled = state === "leased";
    return make("p", "form-end", remove, move, make("span", "hint", "to"), target);
  }
}

/** How it died, the last time first. */
function history({ deaths }: Message): HTMLElement[] {
  if (!deaths.length) return [];
  const entries = deaths.map(({ queue, reason, count, attempts, lastAt, note }) => make(
    "li", "", make("b", "", note ?? reason), ` in ${queue}, ${reason}, `,
    `${plural(attempts, "failed delivery", "failed deliveries")}, `,
    `${count > 1 ? `${count} times, last ` : ""}at ${timeOf(lastAt)}`,
  ));
  return [make("ol", "deaths", ...entries)];
}
