// What the tests of the package share: where its files are, and a tab with a bus.
import { join } from "node:path";
import { ROOT } from "../lib/run.mjs";

export const folders = { "/tabmq/": join(ROOT, "pkg/dist"), "/cases/": join(ROOT, "pkg/test") };

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
  return tab.evaluate((options) => globalThis.connect("test", options), bus_options);
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
