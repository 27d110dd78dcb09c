import { Accounts } from "./accounts";
import { mountCall, mountServe } from "./call-forms";
import { byId, setText } from "./dom";
import { FlowView } from "./flow-view";
import { errorText } from "./format";
import { Guide } from "./guide";
import { HostView, mountHostChoice } from "./host-view";
import { mountHubChoice, showHubState } from "./hub-view";
import { Inspector } from "./inspector";
import { Jobs } from "./jobs";
import { Ledger } from "./ledger";
import { mountPublish, mountSubscribe } from "./live-forms";
import { Log } from "./log";
import { mountProcess, mountSend } from "./queue-forms";
import { Roster } from "./roster";
import { type PlaygroundBus, TOPIC_CLEARED, hasTwoHomes, openBus } from "./schema";
import { mountSimulator } from "./simulator";
import { TabsView } from "./tabs-view";

const SHOW_MS = 60;

/** Runs `show` soon after it is asked for, however often that is. */
function sometimes(show: () => void): () => void {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      show();
    }, SHOW_MS);
  };
}

/** What the bus itself reports goes into the log. */
function report(bus: PlaygroundBus, log: Log, roster: Roster): void {
  bus.addEventListener("peer", ({ detail: { change, peer } }) => {
    if (change !== "changed" && peer.tags["page"] !== bus.peer.tags["page"]) {
      const where = peer.home === "hub" ? " at the hub" : "";
      log.add("bus", `${roster.nameOf(peer.id)} ${change}${where}`);
    }
  });
  bus.addEventListener("storage", ({ detail: { code, reason } }) => {
    log.add("error", `storage: ${code} ${reason}`);
  });
  bus.addEventListener("error", ({ detail }) => log.add("error", errorText(detail)));
  let epoch = 0;
  bus.host.subscribe((host) => {
    if (host.epoch > epoch) {
      const who = host.kind === "tab" ? `${host.here ? "this" : "another"} tab` : `a ${host.kind}`;
      log.add("bus", `${who} hosts now, epoch ${host.epoch}`);
    }
    epoch = Math.max(epoch, host.epoch);
  });
}

/** All tabs start to count again, if one asks for it. */
function mountClear(bus: PlaygroundBus, ledger: Ledger, jobs: Jobs, roster: Roster): void {
  const forget = () => {
    roster.forget();
    jobs.startFrom(0);
  };
  byId("clear-record", HTMLButtonElement).addEventListener("click", async () => {
    await ledger.clear();
    forget();
    bus.topic(TOPIC_CLEARED).post(null);
  });
  bus.subscribe(TOPIC_CLEARED, forget);
}

function mountLog(log: Log): void {
  const pause = byId("log-pause", HTMLButtonElement);
  pause.addEventListener("click", () => {
    const paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(paused));
    log.pause(paused);
  });
  byId("log-clear", HTMLButtonElement).addEventListener("click", () => log.clear());
}

async function main(): Promise<void> {
  const address = new URL(location.href);
  const log = new Log(byId("log", HTMLElement));
  mountLog(log);
  mountHostChoice(address);
  mountHubChoice(address);
  const bus = await openBus(address);
  if (address.searchParams.has("debug")) {
    // Where the tests look for what travelled, when one of them fails.
    Object.defineProperty(globalThis, "__tabmqFrames", { get: () => bus.admin.frames() });
  }
  const ledger = await Ledger.open(bus.name);

  const tabs = new TabsView(byId("tabs", HTMLElement));
  const host = new HostView(bus, hasTwoHomes(address) ? "Queues of this device" : "Jobs");
  showHubState(bus, address);
  const roster: Roster = new Roster(bus, sometimes(() => {
    tabs.show(roster);
    host.show(roster);
  }));
  report(bus, log, roster);

  const jobs = new Jobs(bus, ledger, log, roster);
  const send = mountSend(bus, ledger, log);
  const guide = new Guide(bus, log, send);
  mountPublish(bus, log);
  mountSubscribe(bus, log, roster);
  mountCall(bus, log, roster);
  mountServe(bus, log);
  mountClear(bus, ledger, jobs, roster);

  // A bus with two homes has come from `connect`, and is of use while its hub is away.
  if (!hasTwoHomes(address)) await bus.ready({ timeout: Infinity });
  const done_by_tab = await ledger.doneByTab();
  jobs.startFrom(done_by_tab.get(bus.peer.id) ?? 0);
  roster.remember(done_by_tab);
  mountProcess(jobs);

  void new Inspector(bus, ledger, log, roster).run();
  const flow = await FlowView.create();
  const accounts = new Accounts(bus, ledger, (account) => {
    flow.show(account, roster);
    guide.showAccount(account);
  });
  await accounts.run();
}

mountSimulator();
main().catch((error: unknown) => {
  setText(byId("hosting", HTMLElement), `The playground could not start. ${errorText(error)}`);
  console.error(error);
});
