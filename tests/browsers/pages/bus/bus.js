// Gives the package and one bus to the orders of a test, and keeps what arrives in `inbox`.
import * as tabmq from "tabmq";

globalThis.inbox = [];
/** Why the core began anew. */
globalThis.restarts = [];
/** Opens `globalThis.bus`. */
globalThis.connect = async (name, options) => {
  globalThis.bus = tabmq.createBus(name, options);
  const keep = (kind) => (event) => globalThis.inbox.push([kind, String(event.detail)]);
  globalThis.bus.addEventListener("error", keep("error"));
  globalThis.bus.addEventListener("restart", ({ detail }) => {
    globalThis.restarts.push(String(detail.cause?.stack ?? detail.cause));
  });
  await globalThis.bus.ready();
  return globalThis.bus.host.get();
};
/** The outcome of a promise as JSON can carry it. */
globalThis.outcome = async (promise) => {
  try {
    return { value: (await promise) ?? null };
  } catch (error) {
    return { code: error?.code ?? null, name: error?.name, text: String(error) };
  }
};
// What a failed test prints of every tab.
Object.defineProperty(globalThis, "__tabmqFrames", {
  get: () => globalThis.bus?.admin.frames() ?? [],
});
globalThis.tabmq = tabmq;
