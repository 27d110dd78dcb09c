// Prepared messages between tabs: whoever is left decides, and nobody gets one before.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, openBus } from "./bus.mjs";

/** In the page: prepares two messages and gives their ids. */
async function prepareTwo() {
  const jobs = globalThis.bus.queue("jobs");
  const first = await jobs.prepare("first", { track: true });
  const second = await jobs.prepare("second", { id: "own" });
  return [first.id, second.id];
}

test("the preparing tab is killed and another decides", { folders, kills: true }, async (t) => {
  const sender = await openBus(t, "sender");
  const other = await openBus(t, "other");
  await other.evaluate(() => {
    globalThis.bus.queue("jobs").process(({ body }) => {
      globalThis.inbox.push(body);
      return `${body} is done`;
    });
  });
  const ids = await sender.evaluate(prepareTwo);
  const owners = await t.browser.requireOwnProcesses();
  await sender.kill(owners);
  const counts = await other.evaluate(async () => {
    const { ready, prepared, sentTotal } = await globalThis.bus.queue("jobs").info();
    return [ready, prepared, sentTotal, globalThis.inbox.length];
  });
  assert.deepEqual(counts, [0, 2, 0, 0]);
  const outcome = await other.evaluate(async ([first, second]) => {
    const jobs = globalThis.bus.queue("jobs");
    const receipt = await jobs.prepared(first).commit();
    await jobs.prepared(second).rollback();
    const wrong = (error) => [error.code, error.data.reason];
    return [
      receipt.id,
      await receipt.processed(),
      await jobs.prepared(first).rollback().catch(wrong),
      await jobs.prepared(second).commit().catch(wrong),
    ];
  }, ids);
  const [first] = ids;
  assert.deepEqual(outcome, [
    first,
    "first is done",
    ["NOT_FOUND", "committed"],
    ["DISCARDED", "rollback"],
  ]);
  assert.deepEqual(await other.evaluate(() => globalThis.inbox), ["first"]);
});

test("a tab answers for one that is gone, also when the host changes", { folders }, async (t) => {
  const host = await openBus(t, "host");
  const sender = await openBus(t, "sender");
  const checker = await openBus(t, "checker");
  await checker.evaluate(() => {
    const jobs = globalThis.bus.queue("jobs");
    globalThis.verdict = "unknown";
    const answer = ({ body, checks }) => {
      globalThis.inbox.push([body, checks]);
      return globalThis.verdict;
    };
    return jobs.onCheck(answer).ready();
  });
  await sender.evaluate(async () => {
    await globalThis.bus.queue("jobs").prepare("half", { checkAfter: 200 });
  });
  await sender.close();
  await checker.waitFor(() => globalThis.inbox.length > 0);
  assert.equal((await checker.evaluate(() => globalThis.inbox[0]))[0], "half");
  await host.close();
  const before = await checker.evaluate(() => globalThis.inbox.at(-1)[1]);
  await checker.waitFor((last) => globalThis.inbox.at(-1)[1] > last, { args: [before] });
  const found = await checker.evaluate(async () => {
    globalThis.verdict = "commit";
    const [delivery] = await globalThis.bus.queue("jobs").receive();
    return delivery.body;
  });
  assert.equal(found, "half");
});
