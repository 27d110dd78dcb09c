// A defect of the wasm module: an export of it is made to run the instruction `unreachable`.
import assert from "node:assert/strict";
import { test } from "node:test";

import { runScript } from "./helpers.mjs";

const SPOIL = `
  // (module (func (export "t") unreachable))
  const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 116, 0, 0,
    10, 5, 1, 3, 0, 0, 11];
  const module = new WebAssembly.Module(Uint8Array.from(bytes));
  const { t: trap } = new WebAssembly.Instance(module).exports;
  let spoiled;
  let instances = 0;
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...parameters) => {
    const instance = await instantiate(...parameters);
    // Node itself makes instances of other modules.
    if (!("rawbus_new" in (instance.exports ?? {}))) return instance;
    instances += 1;
    const exports = {};
    for (const [name, value] of Object.entries(instance.exports)) {
      exports[name] = typeof value !== "function" ? value : (...parts) => {
        if (!spoiled || !name.includes(spoiled)) return value(...parts);
        spoiled = undefined;
        return trap();
      };
    }
    return { exports };
  };
  const { connect } = await import("tabmq");
  const bus = await connect("spoiled");
  const errors = [];
  const restarts = [];
  bus.addEventListener("restart", ({ detail }) => restarts.push(detail.code));
  bus.addEventListener("error", ({ detail }) => errors.push(detail.code));
`;

test("after a trap what was under way rejects, and all that is open begins anew", () => {
  const output = runScript(`${SPOIL}
    const bodies = [];
    const heard = bus.subscribe("t", ({ body }) => bodies.push(body));
    await heard.ready();
    bus.serve("s", { five: () => 5 });
    bus.lead("role", () => {});
    const jobs = bus.queue("q", { lease: "5s" });
    await jobs.send("x");
    const [delivery] = await jobs.receive();
    const waiting = jobs.receive();
    const call = bus.client("nobody", { timeout: "5s" }).method();
    spoiled = "rawbus_publish";
    const settled = await Promise.allSettled([bus.publish("t", 1), call]);
    console.log(settled.map(({ reason }) => reason.code + reason.maybeExecuted).join());
    console.log(delivery.signal.aborted, delivery.signal.reason.code);
    await bus.ready();
    await bus.publish("t", 2);
    await jobs.send("y");
    const answers = [await bus.client("s").five(), (await waiting)[0].body];
    console.log(bodies.join(), ...answers, instances, errors.join());
    await bus.close();
    console.log(bus.status.get());
  `);
  assert.equal(output, "INTERNALtrue,INTERNALtrue\ntrue STALE_LEASE\n2 5 y 2 \nclosed\n");
});

test("three traps in a minute end the bus with an error event", () => {
  const output = runScript(`${SPOIL}
    const codes = [];
    for (let round = 0; round < 3; round++) {
      spoiled = "rawbus_publish";
      await bus.publish("t", 1).catch((error) => codes.push(error.code));
      await bus.ready().catch((error) => codes.push(error.code));
    }
    console.log(codes.join(), errors.join(), restarts.join(), bus.status.get(), instances);
    await bus.close();
    const again = await connect("spoiled");
    console.log(again.status.get());
    await again.close();
  `);
  const [codes, errors, restarts, ...rest] = output.split(" ");
  assert.equal(codes, "INTERNAL,INTERNAL,INTERNAL,INTERNAL");
  assert.equal(errors, "INTERNAL");
  assert.equal(restarts, "INTERNAL,INTERNAL");
  assert.equal(rest.join(" "), "closed 3\nready\n");
});

test("a trap in a callback of the platform does not end the process", () => {
  const output = runScript(`${SPOIL}
    const call = bus.client("nobody", { timeout: "5s" }).method();
    const ready = new Promise((resolve) => {
      bus.addEventListener("status", ({ detail }) => detail === "ready" && resolve());
    });
    // Only what the module itself had planned runs now.
    spoiled = "closure";
    console.log(await call.catch((error) => error.code));
    await ready;
    console.log(await bus.publish("t", 1).then(({ at }) => at), instances);
    await bus.close();
  `);
  assert.equal(output, "INTERNAL\ndevice 2\n");
});
