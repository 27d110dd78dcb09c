import { isTabmqError } from "tabmq";
import type { Account } from "./accounts";
import { byId, setText } from "./dom";
import { countOf, errorText, millisecondsOf, plural } from "./format";
import type { Log } from "./log";
import { tabsById } from "./names";
import type { PlaygroundBus } from "./schema";

type StepState = "next" | "done" | "later";

const MANY = 300;

/** The four steps at the top: each shows when it has been taken, and what came of it. */
export class Guide {
  readonly #bus: PlaygroundBus;
  readonly #log: Log;
  readonly #done = { open: false, send: false, kill: false };
  #killed: { epoch: number; at_ms: number } | undefined;

  constructor(bus: PlaygroundBus, log: Log, send: (count: number) => Promise<unknown>) {
    this.#bus = bus;
    this.#log = log;
    this.#linkTabs();
    byId("send-many", HTMLButtonElement).addEventListener("click", () => {
      send(MANY).catch((error: unknown) => this.#log.add("error", errorText(error)));
    });
    byId("kill-host", HTMLButtonElement).addEventListener("click", () => this.#kill());
    bus.host.subscribe(() => this.#hostChanged());
    bus.peers.subscribe(() => this.#showTabs());
    this.#mark();
  }

  showAccount(account: Account | Error): void {
    const lost = byId("lost", HTMLElement);
    const verdict = byId("step-verdict", HTMLElement);
    if (account instanceof Error) {
      const silent = isTabmqError(account, "TIMEOUT");
      const away = this.#bus.status.get() === "offline";
      const who = away ? "The hub is away." : "No host answers just now.";
      const told = silent ? who : errorText(account);
      return setText(byId("verdict-text", HTMLElement), told);
    }
    const { sent, done, dead, ready, delayed, leased } = account;
    if (sent || done) this.#done.send = true;
    const open = ready + delayed + leased;
    setText(lost, account.lost === undefined ? "\u2013" : countOf(account.lost));
    verdict.dataset["verdict"] = verdictOf(account);
    setText(byId("verdict-text", HTMLElement), verdictText(account, open, dead));
    const told = `${plural(sent, "job")} confirmed so far.`;
    if (sent) setText(byId("step-send-text", HTMLElement), told);
    this.#mark();
  }

  #linkTabs(): void {
    const address = location.href;
    for (const id of ["open-tab", "open-tab-too"]) byId(id, HTMLAnchorElement).href = address;
    byId("open-window", HTMLButtonElement).addEventListener("click", () => {
      const width = Math.round(screen.availWidth / 2);
      const at = `left=${width},top=0,width=${width},height=${screen.availHeight}`;
      window.open(address, "_blank", `noopener,popup,${at}`);
    });
  }

  #showTabs(): void {
    const count = new Set(tabsById(this.#bus.peers.get()).values()).size;
    this.#done.open ||= count > 1;
    const alone = "It joins by itself and takes its share.";
    setText(byId("step-open-text", HTMLElement), count > 1 ? `${count} tabs are here.` : alone);
    this.#mark();
  }

  #kill(): void {
    const { epoch } = this.#bus.host.get();
    this.#killed = { epoch, at_ms: performance.now() };
    this.#log.add("bus", `asked the host of epoch ${epoch} to drop dead`);
    setText(byId("step-kill-text", HTMLElement), "Killed. Waiting for the next host.");
    this.#bus.admin.killHost();
  }

  #hostChanged(): void {
    const { epoch } = this.#bus.host.get();
    if (!this.#killed || epoch <= this.#killed.epoch) return;
    const took = millisecondsOf(performance.now() - this.#killed.at_ms);
    this.#killed = undefined;
    this.#done.kill = true;
    setText(byId("step-kill-text", HTMLElement), `Epoch ${epoch} took over after ${took}.`);
    this.#mark();
  }

  /** The first step that has not been taken is the next. */
  #mark(): void {
    let next: StepState = "next";
    for (const step of ["open", "send", "kill"] as const) {
      byId(`step-${step}`, HTMLElement).dataset["state"] = this.#done[step] ? "done" : next;
      if (!this.#done[step]) next = "later";
    }
  }
}

function verdictOf({ lost }: Account): string {
  if (lost === undefined) return "none";
  return lost ? "lost" : "whole";
}

function verdictText({ sent, done, lost }: Account, open: number, dead: number): string {
  if (!sent && !done) return "The count appears once there is work.";
  const told = `${countOf(sent)} sent, ${countOf(done)} done`;
  if (open) return `${told}, ${countOf(open)} on their way.`;
  if (dead) return `${told}, ${plural(dead, "dead letter")}.`;
  return lost === undefined ? `${told}.` : `${told}, each recorded once.`;
}
