import assert from "node:assert/strict";
import { test } from "node:test";

import { runScript } from "./helpers.mjs";

test("buses that were closed leave nothing behind", () => {
  const output = runScript(
    `
    import { connect } from "tabmq";
    const heap = {};
    for (let count = 1; count <= 150; count++) {
      const bus = await connect("leak-" + count);
      bus.subscribe("t", () => {});
      bus.serve("s", { five: () => 5 });
      bus.lead("role", () => {});
      await bus.publish("t", count);
      await bus.client("s").five();
      await bus.queue("q").send(count);
      const [delivery] = await bus.queue("q").receive();
      await delivery.ack();
      bus.queue("q").process(() => {});
      await bus.close();
      if (count % 50) continue;
      // Finalizers run between two turns.
      for (let turn = 0; turn < 3; turn++) {
        await new Promise(setImmediate);
        gc();
      }
      heap[count] = process.memoryUsage().heapUsed;
    }
    console.log(heap[150] / heap[50]);`,
    "--expose-gc",
  );
  // That the process has ended by now says that no timer and no channel was left either.
  const growth = Number(output);
  assert.ok(growth < 1.1, `the heap grew to ${growth} times its size`);
});
