import assert from "node:assert/strict";
import { test } from "node:test";

import { runScript } from "./helpers.mjs";

const GROWTH_MAX = 1.1;

test("500 buses that were closed leave nothing behind", () => {
  const output = runScript(
    `
    import { connect } from "tabmq";
    const memories = [];
    const { instantiate } = WebAssembly;
    WebAssembly.instantiate = async (...parameters) => {
      const instance = await instantiate(...parameters);
      memories.push(instance.exports.memory);
      return instance;
    };
    const sizes = {};
    // All in one task: what a bus has must not wait for the next one to be let go.
    for (let count = 1; count <= 500; count++) {
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
      if (count !== 50 && count !== 500) continue;
      const wasm = memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
      // Finalizers run between two turns.
      for (let turn = 0; turn < 3; turn++) {
        await new Promise(setImmediate);
        gc();
      }
      sizes[count] = { wasm, heap: process.memoryUsage().heapUsed };
    }
    console.log(JSON.stringify([sizes[50], sizes[500]]));`,
    "--expose-gc",
  );
  // That the process has ended by now says that no timer and no channel was left either.
  const [before, after] = JSON.parse(output);
  assert.ok(before.wasm > 0, "the memory of the module was found");
  for (const name of ["wasm", "heap"]) {
    const growth = after[name] / before[name];
    assert.ok(growth <= GROWTH_MAX, `${name} grew to ${growth} times its size`);
  }
});
