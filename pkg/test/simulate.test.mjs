// The simulator of the package: its options, its reports, and that a seed means one thing.
import assert from "node:assert/strict";
import { test } from "node:test";

import { isTabmqError } from "tabmq";
import { FAULT_PER_MILLE_MAX, FAULTS, SAFETY_RULES, simulate } from "tabmq/sim";

/** Every kind that can be set, at this number. */
function all(perMille) {
  const kinds = Object.keys(FAULTS).filter((kind) => FAULTS[kind] !== "others");
  return Object.fromEntries(kinds.map((kind) => [kind, perMille]));
}

test("simulate: a seed gives one report, and another seed another", async () => {
  const first = await simulate({ seed: 7, seeds: 2 });
  const again = await simulate({ seed: 8 });
  assert.deepEqual(again.reports[0], first.reports[1]);
  assert.notEqual(first.reports[0].hash, first.reports[1].hash);
  assert.match(first.reports[0].hash, /^[0-9a-f]{16}$/);
  assert.deepEqual(first.findings, []);
  for (const report of first.reports) {
    assert.ok(report.inputs >= 2000);
    assert.ok(report.messages > 0);
    assert.ok(report.epochs > 2);
    assert.ok(report.virtualMs > 90_000);
    assert.deepEqual(Object.keys(report.faults), Object.keys(FAULTS));
  }
  const sum = first.reports[0].faults["node-died"] + first.reports[1].faults["node-died"];
  assert.equal(first.faults["node-died"], sum);
  assert.equal(first.messages, first.reports[0].messages + first.reports[1].messages);
});

test("simulate: faults that are set occur as often as they are set", async () => {
  const calm = await simulate({ seed: 3, inputs: 500, faults: all(0) });
  assert.deepEqual(calm.findings, []);
  const own = Object.keys(FAULTS).filter((kind) => FAULTS[kind] !== "others");
  for (const kind of own) assert.equal(calm.faults[kind], 0, kind);

  const count = async (perMille) => {
    const faults = { ...all(0), "node-died": perMille };
    const report = await simulate({ seed: 3, inputs: 500, faults });
    for (const kind of own) if (kind !== "node-died") assert.equal(report.faults[kind], 0, kind);
    return report.faults["node-died"];
  };
  const [rare, often] = [await count(100), await count(1000)];
  assert.ok(rare > 0 && rare * 3 < often, `${rare} and ${often}`);
});

test("simulate: a checker notices a safety rule that is left out", async () => {
  assert.ok(SAFETY_RULES.higher_first);
  const { findings } = await simulate({
    seed: 1,
    seeds: 3,
    without: "higher_first",
    inputs: 2500,
    faults: { "node-died": 20 },
  });
  assert.ok(findings.length > 0);
  for (const { seed, checker, what, replay } of findings) {
    assert.match(checker, /^[a-z-]+$/);
    assert.ok(what);
    const options = "--without higher_first --inputs 2500 --fault node-died=20";
    assert.equal(replay, `cargo xtask sim --seed ${seed} ${options}`);
  }
});

test("simulate: what is not valid is refused by its name", async () => {
  const cases = [
    [undefined, undefined],
    [{}, "seed"],
    [{ seed: -1 }, "seed"],
    [{ seed: 1.5 }, "seed"],
    [{ seed: "1" }, "seed"],
    [{ seed: 2 ** 53 }, "seed"],
    [{ seed: 1, seeds: 0 }, "seeds"],
    [{ seed: Number.MAX_SAFE_INTEGER, seeds: 2 }, "seeds"],
    [{ seed: 1, inputs: 0 }, "inputs"],
    [{ seed: 1, inputs: 1_000_001 }, "inputs"],
    [{ seed: 1, faults: 3 }, "faults"],
    [{ seed: 1, faults: { lightning: 1 } }, "faults.lightning"],
    [{ seed: 1, faults: { toString: 1 } }, "faults.toString"],
    [{ seed: 1, faults: { "node-died": 0.5 } }, "faults.node-died"],
    [{ seed: 1, faults: { "node-died": 1001 } }, "faults.node-died"],
    [
      { seed: 1, faults: { "message-dropped": FAULT_PER_MILLE_MAX.operation + 1 } },
      "faults.message-dropped",
    ],
    [{ seed: 1, faults: { "node-fenced": 1 } }, "faults.node-fenced"],
    [{ seed: 1, without: "gravity" }, "without"],
    [{ seed: 1, onSeed: true }, "onSeed"],
    [{ seed: 1, signal: {} }, "signal"],
    [{ seed: 1, speed: 3 }, "speed"],
  ];
  for (const [options, name] of cases) {
    await assert.rejects(simulate(options), (error) => {
      assert.ok(isTabmqError(error, "INVALID"), JSON.stringify(options));
      assert.equal(error.data.name, name, JSON.stringify(options));
      return true;
    });
  }
});

test("simulate: seeds are told as they end, and a signal ends the rest", async () => {
  const seen = [];
  const stop = new AbortController();
  const running = simulate({
    seed: 40,
    seeds: 1000,
    inputs: 1,
    signal: stop.signal,
    onSeed: ({ seed }) => {
      seen.push(seed);
      // The event loop turns between two seeds, or this would come after the last.
      if (seen.length === 1) setImmediate(() => stop.abort(new Error("enough")));
    },
  });
  await assert.rejects(running, /enough/);
  assert.deepEqual(seen, [40, 41, 42].slice(0, seen.length));
});
