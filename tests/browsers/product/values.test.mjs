// Every kind of value goes from one tab to the other and is checked where it arrives.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

test("every value travels between tabs, or is refused with its path", { folders }, async (t) => {
  const first = await openBus(t, "first");
  const second = await openBus(t, "second");
  await second.evaluate(async () => {
    const { cases } = await import("/cases/value-cases.mjs");
    let next = 0;
    const check = async ({ body }) => {
      const { name, make, check: passes } = cases[next++];
      const text = await Promise.resolve()
        .then(() => passes(body, make()))
        .then((fine) => (fine ? "" : `${name}: differs`), (error) => `${name}: ${error}`);
      globalThis.inbox.push(text);
    };
    await globalThis.bus.subscribe("values", check).ready();
  });
  const sent = await first.evaluate(async () => {
    const { cases, pageRefusals, refusals } = await import("/cases/value-cases.mjs");
    for (const { make } of cases) await globalThis.bus.publish("values", make());
    const wrong = [];
    for (const { name, make, path } of [...refusals, ...pageRefusals()]) {
      const published = globalThis.bus.publish("values", make());
      const { code, data } = await published.catch((error) => error);
      if (code !== "UNENCODABLE" || data.path !== `body${path}`) wrong.push([name, data?.path]);
    }
    return { count: cases.length, wrong };
  });
  assert.deepEqual(sent.wrong, []);
  await second.waitFor((count) => globalThis.inbox.length >= count, { args: [sent.count] });
  const failures = await second.evaluate(() => globalThis.inbox.filter((text) => text));
  assert.deepEqual(failures, []);
});
