// The simulator of the package in a page: a seed means there what it means in Node.js.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openPage } from "./bus.mjs";

/** Runs a seed of the model and a scenario of pages; here, and in a browser. */
async function play(address) {
  const { simulate } = await import(address);
  const model = await simulate({ seed: 6 });
  const faults = { "client-frozen": 300, "client-reloaded": 300, "link-delayed": 50 };
  const pages = await simulate({ seed: 6, faults }, async (world) => {
    const done = [];
    const script = async ({ tabmq, sleep }) => {
      const bus = await tabmq.connect("work");
      bus.queue("jobs").process(async ({ body }) => {
        await sleep(20);
        done.push(body);
      });
      for (let job = 0; job < 10; job += 1) {
        await bus.queue("jobs").send(job);
        await sleep(100);
      }
    };
    for (const tab of world.tabs) tab.load(script);
    await world.until(() => done.length >= 20);
    return done;
  });
  const { hash, findings, value } = pages;
  return { model: model.reports[0].hash, hash, findings, value };
}

test("simulation: a page and Node.js agree on the model and on pages", {
  folders,
}, async (t) => {
  const tab = await openPage(t, "page");
  const here = await play("tabmq/sim");
  assert.deepEqual(here.findings, []);
  assert.ok(here.value.length >= 20);
  assert.deepEqual(await tab.evaluate(play, "/tabmq/sim.js"), here);
});
