// Processes that are killed in the middle of what they do, and what the next one finds.
import assert from "node:assert/strict";
import { basename } from "node:path";
import { test } from "node:test";

import { bodies, SAY, startScript, temporaryFolder } from "./files.mjs";

const KILLS = 10;
const IN_FLIGHT = 16;

/** Sends numbers from `first` on, many at a time, and says which are confirmed. */
const sender = (folder, first, durability) => `${SAY}
  const { connect } = await import("tabmq");
  const storage = ${JSON.stringify(folder)};
  const bus = await connect("${basename(folder)}", { storage });
  const queue = bus.queue("jobs");
  let next = ${first};
  const send = async () => {
    for (;;) {
      const number = next++;
      await queue.send(number, { durability: "${durability}" });
      say(number);
    }
  };
  for (let count = 0; count < ${IN_FLIGHT}; count++) send();`;

test("processes are killed while they send: what was confirmed is there once", async (t) => {
  const folder = temporaryFolder(t);
  const confirmed = [];
  for (let kill = 0; kill < KILLS; kill += 1) {
    // The one before may have stored numbers without a word, so these are others.
    const first = (kill + 1) * 100_000;
    const child = startScript(sender(folder, first, kill % 2 ? "strict" : "relaxed"));
    t.after(child.kill);
    const wanted = 20 + 17 * kill;
    for (let count = 0; count < wanted; count += 1) confirmed.push(Number(await child.line()));
    child.kill();
    // It was told before the end came, so it counts.
    confirmed.push(...(await child.rest()).map(Number));
    await child.ended;
  }
  const found = await bodies(folder);
  assert.equal(new Set(found).size, found.length, "nothing is there twice");
  const there = new Set(found);
  const lost = confirmed.filter((number) => !there.has(number));
  assert.deepEqual(lost, []);
  assert.deepEqual(found, [...found].sort((one, other) => one - other), "each producer's order");
  assert.ok(found.length <= confirmed.length + KILLS * IN_FLIGHT, "and nothing that was not sent");
});
