// What the tests of the package share: where its files are, and a tab with a bus.
import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../lib/run.mjs";

export const folders = { "/tabmq/": join(ROOT, "pkg/dist"), "/cases/": join(ROOT, "pkg/test") };

/** A host that gets no processor for some seconds is not taken for a dead one. */
export const PATIENT = { limits: { node_silence_ms: 20_000 } };

/** Where the node runs in this case, whose runner says what `connect` is given as `host`. */
export const kindOf = ({ host }) => (host === "auto" ? "shared-worker" : host);

/** A tab that has loaded the package and opened nothing. */
export async function openPage(t, label, tab_options = {}) {
  const tab = await t.openTab("/bus/index.html", { label, ...tab_options });
  await tab.waitFor(() => globalThis.tabmq !== undefined, { what: "the package has loaded" });
  return tab;
}

/** A tab that is on the bus. */
export async function openBus(t, label, bus_options = {}, tab_options = {}) {
  const tab = await openPage(t, label, tab_options);
  await joinBus(tab, bus_options);
  return tab;
}

/** Opens the bus in a page that has loaded the package; resolves with who hosts. */
export function joinBus(tab, bus_options = {}) {
  return tab.evaluate((options) => globalThis.connect("test", options), {
    host: tab.browser.host,
    ...bus_options,
  });
}

/** Who hosts, once it is what this case wants; the tab was the first to be opened. */
export async function requireHost(first) {
  const kind = kindOf(first.browser);
  const runs = (wanted) => globalThis.bus.host.get().kind === wanted;
  await first.waitFor(runs, { args: [kind], what: `the node runs in a ${kind}` });
  const host = await hostOf(first);
  assert.equal(host.here, kind === "tab", "the first tab hosts");
  return host;
}

export function hostOf(tab) {
  return tab.evaluate(() => globalThis.bus.host.get());
}

/** A page in which `prepare` has run before any code of the package. */
export async function openPrepared(t, label, prepare) {
  const tab = await t.openTab("/bus/late.html", { label });
  await tab.evaluate(prepare);
  await tab.evaluate(() => import("/bus/bus.js").then(() => null));
  return tab;
}

/** In the page: sends the numbers one after the other and counts those that are confirmed. */
export function startSending(first, count) {
  globalThis.confirmed ??= [];
  const queue = globalThis.bus.queue("jobs");
  globalThis.sending = (async () => {
    for (let number = first; number < first + count; number += 1) {
      await queue.send(number);
      globalThis.confirmed.push(number);
    }
  })();
  globalThis.sending.catch((error) => globalThis.inbox.push(["send", String(error)]));
}
