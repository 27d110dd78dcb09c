import assert from "node:assert/strict";
import { test } from "node:test";

import * as cborg from "cborg";
import fc from "fast-check";

import { internals } from "./internals.mjs";
import { cases, refusals, runCases } from "./value-cases.mjs";

// One seed, so that a failure is there again; `SEED=7` tries other values.
fc.configureGlobal({ seed: Number(process.env.SEED ?? 1) });

const { decode, encode } = internals;
const roundTrip = async (value) => decode(await encode(value));
const bytes = (...parts) => Uint8Array.from(parts.flat());
const textItem = (text) => [0x60 | text.length, ...Buffer.from(text)];

/** Values whose identities do not matter, without what only a tag of ours can carry. */
const plain = fc.anything({ withNullPrototype: false, withSparseArray: false, withDate: false });
const rich = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withNullPrototype: false,
  stringUnit: "grapheme",
});

test("every case of the values: passes", async () => {
  const { count, failures } = await runCases(roundTrip);
  assert.deepEqual(failures, []);
  assert.equal(count, cases.length + refusals.length);
});

test("encode: what is decoded again equals what was encoded", () => {
  fc.assert(
    fc.property(rich, (value) =>
      assert.equal(fc.stringify(decode(encode(value))), fc.stringify(value)),
    ),
    { numRuns: 2000 },
  );
});

test("encode: an independent decoder reads plain values the same", () => {
  fc.assert(
    fc.property(plain, (value) => {
      assert.deepStrictEqual(cborg.decode(encode(value), { allowBigInt: false }), value);
    }),
    { numRuns: 2000 },
  );
});

test("encode: reads what an independent encoder wrote", () => {
  fc.assert(
    fc.property(plain, (value) => {
      const encoded = cborg.encode(value);
      assert.deepStrictEqual(decode(encoded), cborg.decode(encoded));
    }),
    { numRuns: 2000 },
  );
});

test("encode: references to any earlier object are kept, whatever is between", () => {
  const tree = fc.letrec((tie) => ({
    node: fc.array(fc.oneof({ depthSize: "small" }, fc.integer(), fc.constant("ref"), tie("node"))),
  }));
  fc.assert(
    fc.property(tree.node, fc.infiniteStream(fc.nat()), (node, picks) => {
      const objects = [];
      const link = (list) => {
        objects.push(list);
        list.forEach((entry, index) => {
          if (Array.isArray(entry)) link(entry);
          else if (entry === "ref") list[index] = objects[picks.next().value % objects.length];
        });
      };
      link(node);
      assert.equal(shape(decode(encode(node))), shape(node));
    }),
  );
});

test("encode: [2, 3] is 3 bytes", () => {
  assert.deepEqual(encode([2, 3]), bytes(0x82, 2, 3));
});

test("encode: the value is read at once", async () => {
  const value = { blob: new Blob(["x"]), n: 1 };
  const encoded = encode(value);
  value.n = 2;
  assert.equal(decode(await encoded).n, 1);
});

test("encode: a getter may encode something itself", () => {
  const value = {
    get inner() {
      return encode({ deep: "x".repeat(100) });
    },
    after: 1,
  };
  const decoded = decode(encode(value));
  assert.deepEqual(decode(decoded.inner), { deep: "x".repeat(100) });
  assert.equal(decoded.after, 1);
});

test("encode: what a getter throws comes through and disturbs nothing", () => {
  const failure = new Error("getter");
  assert.throws(
    () =>
      encode({
        a: 1,
        get b() {
          throw failure;
        },
      }),
    (error) => error === failure,
  );
  assert.deepEqual(decode(encode({ a: 1 })), { a: 1 });
});

test("encode: a long chain of causes takes time in proportion", () => {
  let error = new Error("end");
  for (let depth = 0; depth < 200; depth++) error = new Error(`${depth}`, { cause: error });
  let depth = 0;
  for (let part = decode(encode(error)); part; part = part.cause) depth += 1;
  assert.equal(depth, 201);
});

test("encode: a plain object of another realm is one", async () => {
  const { runInNewContext } = await import("node:vm");
  const value = runInNewContext("({ map: new Map([[1, new Date(3)]]), list: [/x/] })");
  const decoded = decode(encode(value));
  assert.equal(decoded.map.get(1).getTime(), 3);
  assert.ok(decoded.list[0] instanceof RegExp);
});

test("encode: a blob whose bytes are gone is refused", async () => {
  const blob = new Blob(["x"]);
  blob.arrayBuffer = () => Promise.reject(new Error("gone"));
  await assert.rejects(encode({ blob }), { code: "UNENCODABLE" });
});

test("encode: needs no code of strings", () => {
  for (const part of [internals.encode, internals.decode])
    assert.doesNotMatch(String(part), /eval/);
});

/** Bytes that no encoder of ours writes. */
const BAD = {
  "a cut value": bytes(0x82, 1),
  "bytes after the value": bytes(1, 1),
  "no bytes": bytes(),
  "an indefinite length": bytes(0x9f, 1, 0xff),
  "a length beyond all": bytes(0x5b, Array(8).fill(255)),
  "an array longer than its bytes": bytes(0x9a, 0xff, 0xff, 0xff, 0xff, 1),
  "an unknown tag": bytes(0xd9, 0x27, 0x0f, 1),
  "an unknown type": bytes(0xd8, 27, 0x82, textItem("Widget"), 1),
  "a reference to nothing": bytes(0xd8, 29, 0),
  "a reference by a text": bytes(0xd8, 29, textItem("x")),
  "a blob without bytes": bytes(0xd8, 27, 0x83, textItem("Blob"), 0, textItem("")),
  "text that is no UTF-8": bytes(0x62, 0xff, 0xfe),
  "a typed array of half an element": bytes(0xd8, 70, 0x43, 1, 2, 3),
  "arrays in arrays in arrays": bytes(Array(100_000).fill(0x81), 1),
  "tags in tags in tags": bytes(Array.from({ length: 50_000 }, () => [0xd8, 28]).flat(), 1),
};
test("decode: any bytes give a value or an error, and pollute nothing", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (input) => {
      try {
        decode(input);
      } catch (error) {
        assert.ok(error instanceof Error);
      }
      assert.deepEqual(Object.keys(Object.prototype), []);
    }),
    { numRuns: 5000 },
  );
});

test("decode: a changed byte gives a value or an error", () => {
  fc.assert(
    fc.property(rich, fc.nat(), fc.nat({ max: 255 }), (value, at, byte) => {
      const encoded = encode(value);
      encoded[at % encoded.length] = byte;
      try {
        decode(encoded);
      } catch (error) {
        assert.ok(error instanceof Error);
      }
    }),
    { numRuns: 3000 },
  );
});

for (const [name, input] of Object.entries(BAD)) {
  test(`decode: refuses ${name}`, () => assert.throws(() => decode(input), Error));
}

test("decode: reads numbers of 16 and 32 bits", () => {
  assert.equal(decode(bytes(0xf9, 0x3c, 0x00)), 1);
  assert.equal(decode(bytes(0xf9, 0xc4, 0x00)), -4);
  assert.equal(decode(bytes(0xf9, 0x00, 0x01)), 2 ** -24);
  assert.equal(decode(bytes(0xf9, 0x7c, 0x00)), Infinity);
  assert.ok(Number.isNaN(decode(bytes(0xf9, 0x7e, 0x00))));
  assert.equal(decode(bytes(0xfa, 0x3f, 0, 0, 0)), 0.5);
});

test("decode: an error takes its class from a closed list", () => {
  for (const name of ["__proto__", "constructor", "Function", "hasOwnProperty"]) {
    const error = decode(encode(Object.assign(new Error("x"), { name })));
    assert.equal(Object.getPrototypeOf(error), Error.prototype);
    assert.equal(error.name, name);
  }
});

test("decode: views are views and copies are copies", () => {
  const encoded = encode(bytes(1, 2, 3));
  assert.equal(decode(encoded, true).buffer, encoded.buffer);
  assert.equal(decode(encoded).buffer.byteLength, 3);
});

/** A text that is equal for values of the same shape, shared references included. */
function shape(root) {
  const seen = new Map();
  const describeValue = (value) => {
    if (!Array.isArray(value)) return String(value);
    if (seen.has(value)) return `#${seen.get(value)}`;
    seen.set(value, seen.size);
    return `[${value.map(describeValue).join()}]`;
  };
  return describeValue(root);
}
