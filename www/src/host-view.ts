import type { Host } from "tabmq";
import { byId, setText } from "./dom";
import { colorName } from "./names";
import type { Roster } from "./roster";
import { type PlaygroundBus, hostOf } from "./schema";

const STATUS: Readonly<Record<string, string>> = {
  idle: "not started",
  connecting: "looking for the host",
  ready: "connected",
  offline: "the hub is away",
  closed: "closed, reload to join again",
};

/** Who this tab is, who hosts, and what the storage promises, in words. */
export class HostView {
  readonly #bus: PlaygroundBus;
  readonly #kept: string;

  /** `kept`: what the host stores. */
  constructor(bus: PlaygroundBus, kept: string) {
    this.#bus = bus;
    this.#kept = kept;
    const show = () => {
      const status = byId("status", HTMLElement);
      status.dataset["status"] = bus.status.get();
      setText(status, STATUS[bus.status.get()] ?? bus.status.get());
    };
    bus.status.subscribe(show);
    show();
  }

  show(roster: Roster): void {
    const { id } = this.#bus.peer;
    const color = colorName(roster.colorOf(id));
    const host = this.#bus.host.get();
    if (!id) return;
    byId("me", HTMLElement).hidden = false;
    byId("me", HTMLElement).style.setProperty("--tab", `var(${color})`);
    setText(byId("me-name", HTMLElement), roster.nameOf(id));
    const title = `${roster.nameOf(id)}${host.here ? " (host)" : ""} \u2013 tabmq playground`;
    if (document.title !== title) document.title = title;
    showIcon(color, host.here);
    if (!host.epoch) return;
    setText(byId("hosting", HTMLElement), hostingText(host, roster));
    setText(byId("storage", HTMLElement), storageText(host, this.#kept));
  }
}

function hostingText({ epoch, here, kind }: Host, roster: Roster): string {
  if (kind === "hub") return `A hub runs the broker, epoch ${epoch}`;
  const other = roster.tabs().find(({ hosts }) => hosts)?.name;
  const page = here ? "This tab" : other ?? "Another tab";
  return `${WORKERS[kind] ?? page} hosts the broker, epoch ${epoch}`;
}

const WORKERS: Readonly<Record<string, string>> = {
  "shared-worker": "A worker that all tabs share", worker: "A worker of one tab",
};

/** Another choice is another page: a bus keeps the kind of host that it was opened with. */
export function mountHostChoice(address: URL): void {
  const choice = byId("host-choice", HTMLSelectElement);
  choice.value = hostOf(address);
  choice.addEventListener("change", () => {
    address.searchParams.set("host", choice.value);
    location.assign(address);
  });
}

function storageText(
  { kind, storage, durability, evictable, persisted, fenced }: Host, kept: string,
): string {
  if (kind === "hub") {
    return storage === "memory"
      ? "The hub keeps jobs in memory. They are gone when it ends."
      : "The hub keeps jobs in files. They survive it, and every tab.";
  }
  if (storage === "memory") {
    return `${kept} are kept in memory alone. They are gone when the last tab closes.`;
  }
  const survives = `${kept} are written to IndexedDB and survive closed and crashed tabs.`;
  const strict = durability === "strict" ? " unless they are sent as strict" : "";
  const level = `${survives} A power cut may take the last moments${strict}.`;
  if (!fenced) return `${level} Nothing keeps a host that was replaced from writing to them.`;
  if (persisted) return `${level} The browser has promised to keep them.`;
  return evictable ? `${level} The browser may clear them when room is short.` : level;
}

/** The icon in the browser's own row of tabs has the color of the card here. */
function showIcon(name: string, host: boolean): void {
  const icon = byId("favicon", HTMLLinkElement);
  const key = `${name} ${host}`;
  if (icon.dataset["for"] === key) return;
  icon.dataset["for"] = key;
  const color = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const core = host ? '<circle cx="16" cy="17" r="5" fill="#fff"/>' : "";
  const shape = `<path d="M3 28V12a6 6 0 0 1 6-6h14a6 6 0 0 1 6 6v16z" fill="${color}"/>${core}`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${shape}</svg>`;
  icon.href = `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
