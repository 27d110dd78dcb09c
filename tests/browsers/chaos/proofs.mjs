// Shows that the checker notices each fault it is there for, and nothing else, and that a seed
// gives one plan. They take a moment, so every run begins with them.
import assert from "node:assert/strict";
import { judge, JUDGED } from "./checker.mjs";
import { makePlan, WEIGHTS } from "./plan.mjs";

/** Realm `tab-0` sends two messages of one key, `tab-1` processes them under two epochs. */
function soundRun() {
  const [first, second] = ["orders/tab-0/k1/0", "orders/tab-0/k1/1"];
  const storage = ["indexeddb", "strict", true];
  const tab_0 = [
    [1_000, "host", 1, "tab", true, ...storage],
    [1_010, "sent", first],
    [1_020, "confirmed", first, 1_010, 1, false],
    [5_000, "host", 2, "worker", false, ...storage],
    [5_010, "sent", second],
    [5_020, "refused", second, "UNAVAILABLE"],
    [5_030, "confirmed", second, 5_010, 2, false],
    [5_040, "call", "answered"],
  ];
  const tab_1 = [
    [1_005, "host", 1, "tab", false, ...storage],
    [1_030, "delivered", first, "orders", 7, 1],
    [1_040, "effect", first],
    [5_001, "host", 2, "worker", false, ...storage],
    [5_040, "delivered", first, "orders", 7, 2],
    [5_050, "duplicate", first],
    [5_060, "delivered", second, "orders", 8, 1],
    [5_070, "effect", second],
    [5_080, "beat", "tab-0", 4, 1],
    [5_090, "beat", "tab-0", 6, 1],
    [5_100, "beat", "tab-0", 6, 2],
  ];
  const worker = [[4_900, "claim", 2, "8202aa"]];
  const records = Object.entries({ "tab-0": tab_0, "tab-1": tab_1, "worker-1": worker }).flatMap(
    ([realm, rows]) =>
      rows.map(([at_ms, kind, ...values], number) => ({ realm, number, at_ms, kind, values })),
  );
  return { records, effects: [[1, first], [2, second]], left: { waiting: 0, dead: 0 } };
}

function add(run, realm, at_ms, kind, ...values) {
  const number = run.records.length + 100;
  run.records.push({ realm, number, at_ms, kind, values });
}

/** What is done to a sound run, and the one judgement that has to notice. */
const FAULTS = {
  "a confirmed message has no effect": ["lost", (run) => run.effects.pop()],
  "an effect that was told is not stored": [
    "lost",
    (run) => add(run, "tab-1", 6_000, "effect", "jobs/tab-0/k1/0"),
  ],
  "a message has two effects": [
    "double_effects",
    (run) => run.effects.push([3, "orders/tab-0/k1/1"]),
  ],
  "two handlers were told that theirs is the effect": [
    "double_effects",
    (run) => add(run, "tab-0", 6_000, "effect", "orders/tab-0/k1/1"),
  ],
  "a key is out of order": [
    "order_breaks",
    (run) => run.effects.splice(0, 2, [1, "orders/tab-0/k1/1"], [2, "orders/tab-0/k1/0"]),
  ],
  "two tabs host in one epoch": [
    "epoch_breaks",
    (run) => add(run, "tab-2", 1_000, "host", 1, "tab", true, "indexeddb", "strict", true),
  ],
  "two kinds of host have one epoch": [
    "epoch_breaks",
    (run) => add(run, "tab-2", 1_000, "host", 2, "tab", false, "indexeddb", "strict", true),
  ],
  "hosts of one epoch have other storages": [
    "epoch_breaks",
    (run) => add(run, "tab-2", 1_000, "host", 2, "worker", false, "memory", "memory", true),
  ],
  "an epoch goes back": [
    "epoch_breaks",
    (run) => add(run, "tab-1", 6_000, "host", 1, "tab", false, "indexeddb", "strict", true),
  ],
  "two realms claim one epoch": [
    "claim_breaks",
    (run) => add(run, "tab-2", 4_901, "claim", 2, "8202aa"),
  ],
  "two nodes of one realm claim one epoch": [
    "claim_breaks",
    (run) => add(run, "worker-1", 4_901, "claim", 2, "8202bb"),
  ],
  "two messages have one place in the log": [
    "number_breaks",
    (run) => add(run, "tab-0", 6_000, "delivered", "orders/tab-0/k1/9", "orders", 8, 1),
  ],
  "an epoch that is over confirms": [
    "stale_confirms",
    (run) => add(run, "tab-1", 9_010, "confirmed", "orders/tab-0/k1/0", 9_000, 1, false),
  ],
  "a live message comes twice": [
    "live_breaks",
    (run) => add(run, "tab-1", 6_000, "beat", "tab-0", 6, 1),
  ],
  "a call has a wrong answer": [
    "wrong_answers",
    (run) => add(run, "tab-1", 6_000, "call", "wrong"),
  ],
  "the product breaks its protocol": [
    "defects",
    (run) => add(run, "tab-1", 6_000, "error", "PROTOCOL", "a frame is broken"),
  ],
  "a send meets a defect": [
    "defects",
    (run) => add(run, "tab-1", 6_000, "refused", "jobs/tab-1/k1/0", "INTERNAL"),
  ],
  "a message is left in a queue": ["left_over", (run) => (run.left.waiting = 1)],
  "a message is dead": ["left_over", (run) => (run.left.dead = 1)],
};

function brokenIn(run) {
  return Object.entries(judge(run))
    .filter(([, broken]) => broken.length > 0)
    .map(([name]) => name);
}

/** Throws unless all of it holds; returns how many proofs that were. */
export function proveChecker() {
  assert.deepEqual(brokenIn(soundRun()), [], "a sound run is sound");
  for (const [what, [name, spoil]] of Object.entries(FAULTS)) {
    const run = soundRun();
    spoil(run);
    assert.deepEqual(brokenIn(run), [name], what);
  }
  const faults = Object.values(FAULTS).map(([name]) => name);
  assert.deepEqual(new Set(faults), new Set(JUDGED), "every judgement has a fault that it notices");
  const shuffled = soundRun();
  shuffled.records.reverse();
  assert.deepEqual(brokenIn(shuffled), [], "the order of arrival means nothing");
  proveKills();
  const plan = makePlan({ seed: 7, events: 2_000 });
  assert.deepEqual(plan, makePlan({ seed: 7, events: 2_000 }), "a seed gives one plan");
  assert.notDeepEqual(plan, makePlan({ seed: 8, events: 2_000 }), "another seed gives another");
  const kinds = new Set(plan.events.map(({ kind }) => kind));
  assert.deepEqual(kinds, new Set(Object.keys(WEIGHTS)), "every kind of event comes");
  return Object.keys(FAULTS).length + 7;
}

/** Whatever the records of one realm end with, a sound run stays sound. */
function proveKills() {
  for (const realm of ["tab-0", "tab-1", "worker-1"]) {
    for (let kept = 0; kept < 10; kept += 1) {
      const run = soundRun();
      run.records = run.records.filter((row) => row.realm !== realm || row.number < kept);
      assert.deepEqual(brokenIn(run), [], `${realm} was killed after ${kept} records`);
    }
  }
}
