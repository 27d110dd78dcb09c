// What the tests of pages that are left and returned to share: whether a page was in the
// back/forward cache meanwhile.
import assert from "node:assert/strict";
import { kindOf } from "./bus.mjs";

/** Leaves the page; resolves with whether the browser said that it goes into the cache. */
export async function leave(t, tab) {
  await tab.evaluate(() => {
    globalThis.wasHere = true;
    addEventListener("pagehide", ({ persisted }) => (sessionStorage.cached = persisted));
    addEventListener("pageshow", ({ persisted }) => (globalThis.persisted = persisted));
  });
  await tab.goto(t.server.url("/second.html"));
  // The next page may be in another process, which hears a little later of what the last one wrote.
  const cached = () => sessionStorage.cached;
  return (await tab.waitFor(cached, { what: "the page says how it was left" })) === "true";
}

/** In the page: nothing if it came out of the cache, else what the browser says of that. */
function whyMadeAnew() {
  if (globalThis.persisted === true) return [];
  const [navigation] = performance.getEntriesByType("navigation");
  const reasons = navigation?.notRestoredReasons?.reasons ?? [];
  return reasons.length > 0 ? reasons.map(({ reason }) => reason) : ["unknown"];
}

/**
 * Goes back to a page that was left; resolves with whether it was made anew, and with it its
 * identity. Every page on the bus holds a Web Lock, and Firefox caches none that does. A worker
 * ends a moment after its page says so, and Chromium drops a page for whose worker's lock another
 * tab waits in that moment.
 */
export async function comeBack(t, tab) {
  await tab.back();
  const isShown = () => globalThis.persisted || Boolean(!globalThis.wasHere && globalThis.tabmq);
  await tab.waitFor(isShown, { what: "the page is shown again" });
  const reasons = await tab.evaluate(whyMadeAnew);
  const may = t.engine === "chromium" && kindOf(t) === "worker" ? "weblocks-contention" : undefined;
  if (t.engine !== "firefox") assert.deepEqual(reasons.filter((reason) => reason !== may), []);
  return reasons.length > 0;
}
