import { make, setText } from "./dom";
import { countOf, plural } from "./format";
import { colorName } from "./names";
import type { Roster, TabState } from "./roster";

const SLOTS_SHOWN_MAX = 16;

/** One card: who it is, what it does now, what it has done. */
class Card {
  readonly element: HTMLElement;
  readonly #name = make("strong", "tab-name");
  readonly #badges = make("span", "badges");
  readonly #slots = make("span", "slots");
  readonly #state = make("span", "tab-state");
  readonly #done = make("span", "tab-done");
  readonly #share = make("span", "share");

  constructor(id: string) {
    const head = make("p", "tab-head", make("i", "swatch"), this.#name, this.#badges);
    const work = make("p", "tab-work", this.#slots, this.#state);
    const total = make("p", "tab-total", this.#done);
    this.element = make("li", "tab", head, work, total, this.#share);
    this.element.dataset["peer"] = id;
    this.#slots.setAttribute("aria-hidden", "true");
  }

  show(tab: TabState, done_total: number): void {
    const { name, color, me, here, hosts, progress } = tab;
    Object.assign(this.element.dataset, { me, here, hosts });
    this.element.style.setProperty("--tab", `var(${colorName(color)})`);
    setText(this.#name, name);
    this.#showBadges([me && "this tab", hosts && "host", !here && "gone"]);
    this.#showSlots(here ? progress.slots : 0, progress.busy);
    setText(this.#state, stateOf(tab));
    setText(this.#done, `${countOf(progress.done)} done`);
    const share = done_total ? progress.done / done_total : 0;
    this.#share.style.setProperty("--share", String(share));
  }

  #showBadges(words: (string | false)[]): void {
    const wanted = words.filter((word) => word !== false);
    if (wanted.join() === [...this.#badges.children].map((had) => had.textContent).join()) return;
    this.#badges.replaceChildren(...wanted.map((word) => {
      const badge = make("span", "badge", word);
      badge.dataset["badge"] = word.replace(" ", "-");
      return badge;
    }));
  }

  #showSlots(slots: number, busy: number): void {
    const shown = Math.min(slots, SLOTS_SHOWN_MAX);
    while (this.#slots.childElementCount > shown) this.#slots.lastElementChild?.remove();
    while (this.#slots.childElementCount < shown) this.#slots.append(make("i", ""));
    [...this.#slots.children].forEach((slot, index) => {
      slot.toggleAttribute("data-busy", index < busy);
    });
  }
}

function stateOf({ here, heard, progress: { busy, slots } }: TabState): string {
  if (!here) return "left";
  if (!heard) return "just joined";
  if (busy) return `${plural(busy, "job")} in work`;
  return slots ? "ready for work" : "takes no work";
}

/** The row of tabs. */
export class TabsView {
  readonly #list: HTMLElement;
  /** Not a tab yet: a way to open one. It stays the last. */
  readonly #opener: Element | null;
  readonly #cards = new Map<string, Card>();

  constructor(list: HTMLElement) {
    this.#list = list;
    this.#opener = list.lastElementChild;
  }

  show(roster: Roster): void {
    const tabs = roster.tabs();
    const done_total = tabs.reduce((sum, { progress }) => sum + progress.done, 0);
    for (const [id, card] of this.#cards) {
      if (tabs.some((tab) => tab.id === id)) continue;
      card.element.remove();
      this.#cards.delete(id);
    }
    tabs.forEach((tab, index) => {
      const card = this.#cards.get(tab.id) ?? new Card(tab.id);
      this.#cards.set(tab.id, card);
      card.show(tab, done_total);
      // Only what is out of place moves, else a reader would lose its place in the list.
      const at = this.#list.children[index];
      if (at !== card.element) this.#list.insertBefore(card.element, at ?? this.#opener);
    });
  }
}
