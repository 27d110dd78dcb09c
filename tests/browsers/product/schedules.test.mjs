// Messages that the node sends by itself, at times, whichever tab hosts.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

test("what one tab schedules the next host fires, once for each time", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const other = await openBus(t, "other");
  await host.evaluate(async () => {
    const jobs = globalThis.bus.queue("jobs");
    await jobs.schedule("soon", { at: new Date(Date.now() + 2500) }, "soon");
    await jobs.schedule("often", { every: 1000 }, "tick");
    await jobs.schedule("nightly", { cron: "0 12 29 2 *", timeZone: "Asia/Kolkata" }, "leap");
  });
  await host.close();
  await other.waitFor(async () => {
    const [, often] = await globalThis.bus.queue("jobs").schedules();
    return often?.last?.count >= 4;
  });
  const [keys, dueAt, bodies, count] = await other.evaluate(async () => {
    const jobs = globalThis.bus.queue("jobs");
    await jobs.unschedule("often");
    const all = await jobs.schedules();
    const found = await jobs.receive({ max: 50 });
    const sent = (await jobs.info()).sentTotal;
    const dates = all.map((schedule) => schedule.dueAt.toISOString());
    return [all.map(({ key }) => key), dates[0], found.map(({ body }) => body), sent];
  });
  assert.deepEqual(keys, ["nightly"]);
  assert.match(dueAt, /-02-29T06:30:00.000Z$/);
  assert.equal(bodies.filter((body) => body === "soon").length, 1);
  assert.equal(bodies.filter((body) => body === "tick").length, count - 1);
});

test("what a tab publishes often a queue gets once for each time", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const other = await openBus(t, "other");
  await other.evaluate(async () => {
    const uplink = globalThis.bus.queue("uplink");
    await uplink.schedule("thin", { every: 1000, latest: "price.eu" });
    globalThis.values = [];
    globalThis.work = uplink.process(({ body }) => void globalThis.values.push(body));
  });
  const count = await host.evaluate(async () => {
    let price = 0;
    // Many for each time it is looked at, however slow the page is.
    for (const began = performance.now(); performance.now() < began + 2500 || price < 200; )
      await globalThis.bus.publish("price.eu", (price += 1));
    return price;
  });
  await other.waitFor((price) => globalThis.values.includes(price), { args: [count] });
  const [values, last, sent] = await other.evaluate(async () => {
    const uplink = globalThis.bus.queue("uplink");
    const [thin] = await uplink.schedules();
    return [globalThis.values, thin.last.count, (await uplink.info()).sentTotal];
  });
  assert.deepEqual(values, [...new Set(values)].sort((a, b) => a - b));
  assert.equal(values.at(-1), count);
  assert.equal(values.length, sent);
  assert.ok(sent <= last && last < count / 2, `${sent} of ${last}`);
});
