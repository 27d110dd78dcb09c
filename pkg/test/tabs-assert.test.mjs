// The assertions that pages have in place of node:assert say what that says.
import nodes from "node:assert/strict";
import { test } from "node:test";

import pages from "./tabs/assert.mjs";

class Point {
  x = 1;
}

const failure = (properties) => Object.assign(new Error("no luck"), properties);

/** Made anew each time, so that no two are the same object. */
const values = () => [
  undefined,
  null,
  0,
  -0,
  Number.NaN,
  "",
  "a",
  1n,
  true,
  [],
  [undefined],
  Array(1),
  [1, 2],
  [1, [2, { a: 3 }]],
  Object.assign([1, 2], { extra: 1 }),
  {},
  Object.create(null),
  { a: undefined },
  { a: 1 },
  { a: 1, b: 2 },
  { b: 2, a: 1 },
  { a: 0 },
  { a: -0 },
  { a: "1" },
  { [Symbol.for("s")]: 1 },
  new Point(),
  { x: 1 },
  new Date(1),
  new Date(2),
  new Uint8Array([1, 2]),
  new Uint8Array([1, 3]),
  failure(),
  failure({ code: "FULL" }),
  failure({ cause: 1 }),
  new Error("another"),
  new TypeError("no luck"),
];

async function verdict(check) {
  try {
    await check();
    return "passes";
  } catch (error) {
    return error.code ?? error.name;
  }
}

/** Whether both pass; they must agree on it. */
async function passes(check, what) {
  const [wanted, found] = [await verdict(() => check(nodes)), await verdict(() => check(pages))];
  nodes.equal(found, wanted, what);
  return wanted === "passes";
}

test("assertions in pages: compare values as those of Node.js do", async () => {
  for (const name of ["equal", "notEqual", "deepEqual"]) {
    let count = 0;
    for (const [index, one] of values().entries()) {
      for (const [at, other] of values().entries()) {
        const what = `${name} of ${index} and ${at}`;
        count += await passes((assert) => assert[name](one, other), what);
      }
    }
    nodes.ok(count > 0 && count < values().length ** 2, name);
  }
});

test("assertions in pages: find no two values equal that they can't compare", () => {
  const compare = () => pages.deepEqual(new Map([[1, 2]]), new Map([[1, 3]]));
  nodes.throws(compare, { name: "TypeError", message: "no comparison of Map" });
});

test("assertions in pages: judge what is true, and texts, as those of Node.js do", async () => {
  for (const [index, value] of values().entries()) {
    await passes((assert) => assert(value), `assert of ${index}`);
    await passes((assert) => assert.ok(value), `ok of ${index}`);
  }
  for (const text of ["abc", "", 7, undefined])
    await passes((assert) => assert.match(text, /b/), `match of ${text}`);
  await passes((assert) => assert.ok(false, new RangeError("mine")), "an error of one's own");
  await passes((assert) => assert.equal(1, 2, "mine"), "a text of one's own");
});

test("assertions in pages: judge what is thrown as those of Node.js do", async () => {
  const full = () => failure({ code: "FULL", data: { reason: "requests_max" } });
  const expectations = [
    undefined,
    { code: "FULL" },
    { code: "INVALID" },
    { message: "no luck" },
    { message: /luck/ },
    { message: /pluck/ },
    { code: "FULL", data: { reason: "requests_max" } },
    { code: "FULL", data: { reason: "other" } },
    { retryable: undefined },
    { name: "Error", code: /^F/ },
    () => true,
    () => 1,
    (error) => error.code === "FULL",
    () => {
      throw new RangeError("within");
    },
  ];
  for (const [index, expected] of expectations.entries()) {
    const check = (outcome) => async (assert) => {
      assert.throws(() => outcome(), expected);
      await assert.rejects(async () => outcome(), expected);
      await assert.rejects((async () => outcome())(), expected);
    };
    const thrown = check(() => {
      throw full();
    });
    await passes(thrown, `expectation ${index}`);
    await passes(check(() => 1), `expectation ${index} of what does not fail`);
  }
});
