// What each kind of event does to the tabs.

/** In the page: takes the lock of the node and lets it go at once. */
async function stealLock() {
  const { held } = await navigator.locks.query();
  const names = held.map(({ name }) => name).filter((name) => name.endsWith(":node"));
  for (const name of names) await navigator.locks.request(name, { steal: true }, () => {});
  return names.length;
}

/** In the page: tells all realms how their storage fails from now on. */
function failStorage(fault) {
  const channel = new BroadcastChannel("chaos-storage");
  channel.postMessage(fault);
  // The page itself listens on a channel of its own, which hears this one too.
  channel.close();
}

async function kill({ fleet, slot }, { mode }) {
  await fleet.kill(slot);
  await fleet.forget(slot);
  return () => fleet.open(slot, mode);
}

async function close({ fleet, slot }, { mode }) {
  await fleet.forget(slot);
  return () => fleet.open(slot, mode);
}

async function stop({ fleet, slot }, { stopped_ms }) {
  await fleet.stop(slot, stopped_ms);
}

async function rejoin({ fleet, slot }, { mode }) {
  await fleet.slots[slot].tab.evaluate((chosen) => globalThis.chaos.rejoin(chosen), mode);
  fleet.slots[slot].mode = mode;
}

function storage(mode) {
  return async ({ fleet, slot }, { fault_ms, everywhere }) => {
    const fault = { mode, until_unix_ms: Date.now() + fault_ms, everywhere };
    await fleet.slots[slot].tab.evaluate(failStorage, fault);
  };
}

/** Some give back what has to be done once the others have lived through it. */
const ACTS = {
  kill,
  close,
  stop,
  trip: ({ fleet, slot }) => fleet.trip(slot),
  reload: ({ fleet, slot }) => fleet.reload(slot),
  steal: ({ fleet, slot }) => fleet.slots[slot].tab.evaluate(stealLock).then(() => undefined),
  "kill-node": ({ fleet, slot }) =>
    fleet.slots[slot].tab.evaluate(() => globalThis.chaos.killNode()).then(() => undefined),
  rejoin,
  "storage-throws": storage("throw"),
  "storage-aborts": storage("abort"),
  "storage-full": storage("quota"),
  "storage-mute": storage("mute"),
};

/** Events that need a tab that answers are given the next one that does. */
export function chooseSlot(fleet, event, host_realm) {
  const hosting = event.aimed ? fleet.hosting(host_realm) : undefined;
  return fleet.openFrom(hosting ?? event.slot);
}

/** Does it. Resolves with what has to be done afterwards, if anything. */
export function act(fleet, slot, event) {
  return ACTS[event.kind]({ fleet, slot }, event);
}
