import type { Status } from "tabmq";
import { byId } from "./dom";
import { plural } from "./format";
import { say } from "./live-forms";
import { type PlaygroundBus, hubOf, shareOf } from "./schema";

/**
 * The address of a hub and what it shares, as parts of that of the page. Without a hub the bus
 * leaves it.
 */
export function mountHubChoice(address: URL): void {
  const hub = byId("hub-address", HTMLInputElement);
  const share = byId("hub-share", HTMLInputElement);
  hub.value = hubOf(address) ?? "";
  share.value = shareOf(address).join(", ");
  byId("hub-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    const isAddress = /^wss?:\/\//.test(hub.value) && URL.canParse(hub.value);
    if (hub.value ? !isAddress : share.value) return refuse(hub);
    for (const field of [hub, share]) {
      if (field.value) address.searchParams.set(field.name, field.value);
      else address.searchParams.delete(field.name);
    }
    location.assign(address);
  });
}

function refuse(field: HTMLInputElement): void {
  field.setAttribute("aria-invalid", "true");
  field.focus();
  say(byId("hub-state", HTMLElement), "error", "The address of a hub begins with ws:// or wss://");
}

/** How it stands with the hub: what lives there, and what waits for it. */
export function showHubState(bus: PlaygroundBus, address: URL): void {
  const hub = hubOf(address);
  if (!hub) return;
  const filters = shareOf(address).join(", ");
  const kept: string[] = [];
  const show = () => {
    const { accepted, sent } = bus.outbox.get();
    const text = stateText(bus.status.get(), hub, filters, accepted + sent);
    say(byId("hub-state", HTMLElement), "done", text + keptText(kept));
  };
  bus.addEventListener("contract", ({ detail: { name } }) => {
    kept.push(name);
    show();
  });
  bus.status.subscribe(show);
  bus.outbox.subscribe(show);
  show();
}

/** Queues that a filter covers and that have another home all the same. */
function keptText(kept: readonly string[]): string {
  if (!kept.length) return "";
  const names = new Intl.ListFormat("en").format(kept);
  const stays = kept.length > 1 ? "were here before, and stay" : "was here before, and stays";
  return ` But ${names} ${stays} on this device.`;
}

function stateText(status: Status, hub: string, filters: string, waiting: number): string {
  const names = filters ? `what ${filters} covers` : "everything";
  const rest = filters ? " The rest stays on this device." : "";
  switch (status) {
    case "ready":
      return `The hub ${hub} has ${names}.${rest}`;
    case "offline": {
      const waits = waiting ? `${plural(waiting, "send waits", "sends wait")} here for it. ` : "";
      return `The hub ${hub} is away. ${waits}It gets ${names} once it is back.${rest}`;
    }
    case "closed":
      return `This tab has left the hub ${hub}.`;
    default:
      return `Looking for the hub ${hub}.`;
  }
}
