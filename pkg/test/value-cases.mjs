// What section "values" promises, as cases. They need nothing of Node, so that a page can run them:
// `await runCases(roundTrip)`, where `roundTrip(value)` brings a value through encoding and back.

/** Each case makes a value and checks what came back; `check` throws or answers false. */
export const cases = [
  { name: "null, booleans, undefined", make: () => [null, true, false, undefined], check: same },
  {
    name: "numbers",
    make: () => [
      0,
      -0,
      1,
      -1,
      23,
      24,
      255,
      256,
      65_535,
      65_536,
      2 ** 32,
      2 ** 53 - 1,
      -(2 ** 53),
      0.1,
    ],
    check: same,
  },
  {
    name: "numbers that are none",
    make: () => [Number.NaN, Infinity, -Infinity, 5e-324, 1.7976931348623157e308],
    check: same,
  },
  {
    name: "big integers",
    make: () => [0n, 1n, -1n, 2n ** 64n, -(2n ** 64n) - 1n, 2n ** 2000n + 7n],
    check: same,
  },
  {
    name: "texts",
    make: () => ["", "a", "\u00e4\u{1f600}", "\ufeffmark", "x".repeat(70_000), "\u0000"],
    check: same,
  },
  { name: "plain objects", make: () => ({ a: 1, "b c": { d: [undefined] }, "": 0 }), check: same },
  {
    name: "an own property __proto__ stays one",
    make: () => JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1}'),
    check: (value) =>
      Object.hasOwn(value, "__proto__")
      && value.__proto__.polluted === true
      && value.polluted === undefined
      && Object.getPrototypeOf(value) === Object.prototype
      && {}.polluted === undefined,
  },
  {
    name: "dates",
    make: () => [new Date(0), new Date(1_700_000_000_123), new Date(-8.64e15), new Date(8.64e15)],
    check: (value) =>
      value.every((date) => date instanceof Date)
      && value.map(Number).join() === "0,1700000000123,-8640000000000000,8640000000000000",
  },
  {
    name: "an invalid date",
    make: () => new Date(Number.NaN),
    check: (value) => Number.isNaN(value.getTime()),
  },
  {
    name: "maps with any keys",
    make: () =>
      new Map([
        [{ k: 1 }, "object"],
        ["text", new Map()],
        [2, undefined],
      ]),
    check: (value) =>
      value instanceof Map
      && value.size === 3
      && [...value.keys()][0].k === 1
      && value.get("text") instanceof Map
      && value.has(2),
  },
  {
    name: "sets",
    make: () => new Set([1, "1", null]),
    check: (value) => value instanceof Set && value.size === 3 && value.has("1") && value.has(null),
  },
  {
    name: "regular expressions",
    make: () => /a(?<name>b)\//giu,
    check: (value) =>
      value instanceof RegExp && value.source === "a(?<name>b)\\/" && value.flags === "giu",
  },
  {
    name: "addresses",
    make: () => new URL("https://example.org/a?b=c#d"),
    check: (value) => value instanceof URL && value.href === "https://example.org/a?b=c#d",
  },
  {
    name: "bytes travel as bytes",
    make: () => new Uint8Array([0, 127, 128, 255]),
    check: (value) =>
      value instanceof Uint8Array
      && value.join() === "0,127,128,255"
      && value.buffer.byteLength === 4,
  },
  {
    name: "a view of a part sends that part",
    make: () => new Uint8Array([1, 2, 3, 4]).subarray(1, 3),
    check: (value) => value.join() === "2,3" && value.buffer.byteLength === 2,
  },
  {
    name: "array buffers",
    make: () => new Uint8Array([1, 2, 3]).buffer,
    check: (value) => value instanceof ArrayBuffer && new Uint8Array(value).join() === "1,2,3",
  },
  {
    name: "data views",
    make: () => new DataView(new Uint8Array([9, 1, 2]).buffer, 1),
    check: (value) =>
      value instanceof DataView && value.byteLength === 2 && value.getUint8(1) === 2,
  },
  {
    name: "typed arrays of every kind",
    make: () => [
      new Int8Array([-1]),
      new Uint8ClampedArray([255]),
      new Int16Array([-2]),
      new Uint16Array([65_535]),
      new Int32Array([-3]),
      new Uint32Array([2 ** 32 - 1]),
      new Float32Array([0.5]),
      new Float64Array([0.1]),
      new BigInt64Array([-4n]),
      new BigUint64Array([2n ** 64n - 1n]),
    ],
    check: same,
  },
  {
    name: "errors with a cause",
    make: () => new TypeError("outer", { cause: new RangeError("inner", { cause: "deepest" }) }),
    check: (value) =>
      value instanceof TypeError
      && value.message === "outer"
      && value.cause instanceof RangeError
      && value.cause.message === "inner"
      && value.cause.cause === "deepest"
      && !Object.keys(value).includes("cause"),
  },
  {
    name: "errors keep their name and own properties",
    make: () => Object.assign(new Error("full"), { name: "QuotaError", code: "QUOTA", left: 0 }),
    check: (value) =>
      value.name === "QuotaError"
      && value.code === "QUOTA"
      && value.left === 0
      && Object.getPrototypeOf(value) === Error.prototype,
  },
  {
    name: "a part of an error that can't travel is left out, the rest arrives",
    make: () => Object.assign(new Error("x", { cause: () => {} }), { kept: 1, lost: Symbol("s") }),
    check: (value) =>
      value.message === "x" && value.kept === 1 && !("lost" in value) && !value.cause,
  },
  {
    name: "aggregate errors",
    make: () => new AggregateError([new Error("one")], "all"),
    check: (value) => value.message === "all" && value.errors[0].message === "one",
  },
  {
    name: "an error that is its own cause",
    make: () => {
      const error = new Error("loop");
      error.cause = error;
      return error;
    },
    check: (value) => value.message === "loop" && value.cause === value,
  },
  {
    name: "cycles",
    make: () => {
      const value = { list: [], map: new Map(), set: new Set() };
      value.self = value;
      value.list.push(value.list);
      value.map.set("map", value.map);
      value.set.add(value.set);
      return value;
    },
    check: (value) =>
      value.self === value
      && value.list[0] === value.list
      && value.map.get("map") === value.map
      && value.set.has(value.set),
  },
  {
    name: "shared references stay shared",
    make: () => {
      const shared = { n: 1 };
      const bytes = new Uint8Array([1]);
      const date = new Date(5);
      const expression = /x/;
      return [
        shared,
        { shared },
        bytes,
        [bytes],
        date,
        new Map([[shared, date]]),
        expression,
        expression,
      ];
    },
    check: ([shared, object, bytes, list, date, map, expression, again]) =>
      object.shared === shared
      && list[0] === bytes
      && map.get(shared) === date
      && expression === again,
  },
  {
    name: "blobs",
    make: () => ({ blob: new Blob(["hello ", "blob"], { type: "text/plain" }) }),
    check: async ({ blob }) =>
      blob instanceof Blob
      // Bun adds a charset when the blob is made.
      && blob.type === new Blob([], { type: "text/plain" }).type
      && (await blob.text()) === "hello blob",
  },
  {
    name: "files",
    make: () => new File(["content"], "a.txt", { type: "text/plain", lastModified: 1234 }),
    check: async (file) =>
      file instanceof File
      && file.name === "a.txt"
      && file.lastModified === 1234
      && (await file.text()) === "content",
  },
  {
    name: "one blob twice is one blob",
    make: () => {
      const blob = new Blob(["x"]);
      return [blob, new Blob(["y"]), blob];
    },
    check: async ([first, second, again]) =>
      first === again && (await first.text()) === "x" && (await second.text()) === "y",
  },
  {
    name: "forms",
    make: () => {
      const form = new FormData();
      form.append("text", "value");
      form.append("text", "again");
      form.append("file", new File(["f"], "f.txt"));
      return form;
    },
    check: async (form) =>
      form.getAll("text").join() === "value,again" && (await form.get("file").text()) === "f",
  },
  {
    name: "deep values",
    make: () => {
      let value = [];
      for (let depth = 0; depth < 900; depth++) value = depth % 2 ? [value] : { value };
      return value;
    },
    check: (value) => {
      let depth = 0;
      for (let part = value; part; part = Array.isArray(part) ? part[0] : part.value) depth += 1;
      return depth === 901;
    },
  },
];

class Widget {
  size = 1;
}

/** What must be refused, and the path that says where. */
export const refusals = [
  { name: "a function", make: () => ({ items: [1, { run: () => 1 }] }), path: ".items[1].run" },
  { name: "a symbol", make: () => [Symbol("x")], path: "[0]" },
  {
    name: "an instance of a class",
    make: () => ({ items: [0, 0, 0, { el: new Widget() }] }),
    path: ".items[3].el",
  },
  { name: "a promise", make: () => ({ later: Promise.resolve() }), path: ".later" },
  { name: "a weak map", make: () => [new WeakMap()], path: "[0]" },
  { name: "a generator", make: () => ({ all: (function* all() {})() }), path: ".all" },
  { name: "a value of a map", make: () => new Map([["key", () => 1]]), path: ".key" },
  { name: "a key of a map", make: () => new Map([[() => 1, 1]]), path: ".Function" },
  { name: "an element of a set", make: () => ({ set: new Set([() => 1]) }), path: ".set[0]" },
  { name: "a name that is no word", make: () => ({ "a b": () => 1 }), path: '["a b"]' },
  {
    name: "what is nested too deeply",
    make: () => {
      let value = [];
      for (let depth = 0; depth < 1001; depth++) value = [value];
      return value;
    },
    path: "[0]".repeat(1001),
  },
];

/** Values that only a document has. */
export function pageRefusals() {
  return [
    { name: "an element", make: () => ({ el: document.createElement("p") }), path: ".el" },
    { name: "the window", make: () => [globalThis], path: "[0]" },
  ];
}

/**
 * Runs all cases. `roundTrip` gets a value and resolves with what arrives; it must reject with the
 * error of the encoder for a value that is refused. Answers what failed, as texts.
 */
export async function runCases(roundTrip) {
  const failures = [];
  for (const { name, make, check } of cases) {
    try {
      if ((await check(await roundTrip(make()), make())) === false)
        failures.push(`${name}: differs`);
    } catch (error) {
      failures.push(`${name}: ${String(error)}`);
    }
  }
  const refused = typeof document === "undefined" ? refusals : [...refusals, ...pageRefusals()];
  for (const { name, make, path } of refused) {
    try {
      await roundTrip(make());
      failures.push(`${name}: was not refused`);
    } catch (error) {
      if (error.code !== "UNENCODABLE") failures.push(`${name}: ${String(error)}`);
      else if (error.data.path !== `body${path}`) failures.push(`${name}: path ${error.data.path}`);
    }
  }
  return { count: cases.length + refused.length, failures };
}

/** Deep equality of what has no identity and no cycle. */
function same(left, right) {
  if (Object.is(left, right)) return true;
  if (typeof left !== "object" || typeof right !== "object" || !left || !right) return false;
  if (Object.getPrototypeOf(left) !== Object.getPrototypeOf(right)) return false;
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length
    && keys.every((key) => Object.hasOwn(right, key) && same(left[key], right[key]))
  );
}
