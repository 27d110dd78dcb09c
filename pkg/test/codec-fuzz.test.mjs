// The value codec over arbitrary bytes: encodings of the values that travel and the committed
// frames, changed in a few places. `INPUTS` and `SEED` make others, `SECONDS` as many as fit.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { internals } from "./internals.mjs";
import { cases } from "./value-cases.mjs";

const { decode, encode, isTabmqError, message } = internals;
const INPUTS = Number(process.env.INPUTS ?? 100_000);
const LASTS_MS = Number(process.env.SECONDS ?? 0) * 1000;
const INPUT_MS_MAX = 5000;
const FRAMES = join(import.meta.dirname, "../../fuzz/corpus/frames");

/** What may be the prototype of a decoded object. */
const CLASSES = `Object Array Map Set Date RegExp URL ArrayBuffer DataView Blob File FormData
  Error EvalError RangeError ReferenceError SyntaxError TypeError URIError
  Uint8Array Uint8ClampedArray Uint16Array Uint32Array BigUint64Array
  Int8Array Int16Array Int32Array BigInt64Array Float16Array Float32Array Float64Array`;
const PROTOTYPES = new Set(CLASSES.split(/\s+/).map((name) => globalThis[name]?.prototype));

/** Heads at which readers of CBOR may go wrong. */
const TELLING = [
  [0x1b, 255, 255, 255, 255, 255, 255, 255, 255],
  [0x1a, 255, 255, 255, 255],
  [0x5b, 0, 0, 0, 1, 0, 0, 0, 0],
  [0x9a, 255, 255, 255, 255],
  [0x9a, 1, 255, 255, 255],
  [0xba, 0, 255, 255, 255],
  [0xd8, 27],
  [0xd8, 28],
  [0xd8, 29, 0],
  [0xd9, 1, 2],
  [0xd9, 1, 3],
  [0xd8, 85],
  [0xc1],
  [0xc2],
  [0x80],
  [0xa0],
  [0xf6],
];

/** Numbers below `bound`, the same for the same seed (xorshift, 32 bits). */
function dice(seed) {
  let state = seed | 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

function change(input, corpus, below) {
  const at = below(input.length + 1);
  const to = Math.min(input.length, at + below(8));
  const other = corpus[below(corpus.length)];
  const from = below(other.length + 1);
  const put = (until, part) => Buffer.concat([input.subarray(0, at), part, input.subarray(until)]);
  switch (below(5)) {
    case 0:
      return put(at + 1, Buffer.of(below(256)));
    case 1:
      return put(to, Buffer.of());
    case 2:
      return put(at + below(3), Buffer.from(TELLING[below(TELLING.length)]));
    case 3:
      return put(to, other.subarray(from, from + below(32)));
    default:
      return put(input.length, other.subarray(from));
  }
}

/** Looks at each object once; gives the bytes that they hold. */
function checkValue(root) {
  const seen = new Set();
  const left = [root];
  let held = 0;
  while (left.length) {
    const value = left.pop();
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    assert.ok(PROTOTYPES.has(Object.getPrototypeOf(value)), "a prototype of its own");
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) held += value.byteLength;
    else if (value instanceof Blob) held += value.size;
    else if (value instanceof Map || value instanceof Set) left.push(...[...value].flat());
    else left.push(...Object.values(value));
  }
  return { held, objects: seen.size };
}

async function corpusOf() {
  const encoded = await Promise.all(cases.map((entry) => encode(entry.make())));
  const frames = readdirSync(FRAMES).map((name) => readFileSync(join(FRAMES, name)));
  const all = encoded.map((bytes) => Buffer.from(bytes)).concat(frames);
  return all.filter(({ length }) => length > 0 && length <= 4096);
}

/** Decodes, or throws an error that is none of ours to hide; true if it is a value. */
function reads(bytes) {
  const began_ms = performance.now();
  let value;
  try {
    value = decode(bytes);
  } catch (error) {
    assert.ok(error instanceof Error, "an error is thrown");
    return false;
  } finally {
    assert.ok(performance.now() - began_ms < INPUT_MS_MAX, "it takes no time of its own");
  }
  const { held, objects } = checkValue(value);
  assert.ok(held <= bytes.length && objects <= bytes.length, "no more than what came");
  return true;
}

/** As a receiver takes the parts of a message. */
function readsMessage(bytes) {
  const codec = { encode, decode };
  for (const [body, properties] of [
    [bytes, null],
    [encode(1), bytes],
    [encode(1), encode([null, bytes])],
  ]) {
    try {
      const { headers } = message(codec, "t", "id", body, properties, undefined);
      assert.equal(Object.getPrototypeOf(headers), Object.prototype);
    } catch (error) {
      assert.ok(isTabmqError(error, "PROTOCOL"), String(error));
    }
  }
}

test("decode: whatever the bytes are, an error or a value of no more than them", async (t) => {
  const corpus = await corpusOf();
  const below = dice(Number(process.env.SEED ?? 1));
  const plain = Object.getOwnPropertyNames(Object.prototype).join();
  const end_ms = performance.now() + LASTS_MS;
  let made = 0;
  let read = 0;
  for (const entry of corpus) reads(entry);
  while (LASTS_MS ? performance.now() < end_ms : made < INPUTS) {
    let input = corpus[below(corpus.length)];
    do input = change(input, corpus, below);
    while (below(2));
    try {
      if (reads(input)) read += 1;
      readsMessage(input);
    } catch (error) {
      throw new Error(`the bytes ${input.toString("hex")}`, { cause: error });
    }
    made += 1;
  }
  t.diagnostic(`${corpus.length} of the corpus, ${made} made, ${read} read`);
  assert.equal(Object.getOwnPropertyNames(Object.prototype).join(), plain);
  assert.equal({}.polluted, undefined);
});

const textItem = (text) => Buffer.concat([Buffer.of(0x60 | text.length), Buffer.from(text)]);
const item = (...bytes) => Buffer.from(bytes);
const named = (name, ...parts) =>
  Buffer.concat([item(0xd8, 27, 0x80 | (parts.length + 1)), textItem(name), ...parts]);

/** A list of two times the same list of two, and so on: as a text it would have no end. */
function lists(depth) {
  const heads = Buffer.from("d81c82".repeat(depth) + "80", "hex");
  // The innermost is no list of two, so the references begin with the one around it.
  const again = Array.from({ length: depth - 1 }, (_, index) => [0xd8, 29, 0x18, depth - index]);
  return Buffer.concat([heads, Buffer.of(1), Buffer.from(again.flat())]);
}

const LONG = item(0x1a, 0x7f, 255, 255, 255);
const NONE = textItem("");
const BLOB = named("Blob", item(0), NONE);
const BOMBS = {
  "a list as a key": Buffer.concat([item(0xa1), lists(40), item(1)]),
  "a list as a date": Buffer.concat([item(0xc1), lists(40)]),
  "a list as a pattern": named("RegExp", lists(40), textItem("g")),
  "a list as the message of an error": named("Error", textItem("E"), lists(40), item(0xf7, 0xa0)),
  "a list in a form": named("FormData", item(0x81, 0x82), textItem("k"), lists(40)),
  "a number as a buffer": named("ArrayBuffer", LONG),
  "a list-like as a buffer": named("ArrayBuffer", item(0xa1), textItem("length"), LONG),
  "a number as a view": named("DataView", LONG),
  "a number as the bytes of a blob": named("Blobs", item(0x81), LONG, BLOB),
  "a blob by another name": named("Blobs", item(0x80), named("Blob", textItem("at"), NONE)),
  "a blob twice": named("Blobs", item(0x81, 0x41, 1), item(0x82), BLOB, BLOB),
  "parts without end": Buffer.concat([item(0xd8, 27, 0x9a, 1, 255, 255, 255), textItem("URL")]),
};

for (const [what, bytes] of Object.entries(BOMBS)) {
  test(`decode: ${what}: is refused at once`, () => {
    const began_ms = performance.now();
    assert.throws(() => decode(bytes), Error);
    assert.ok(performance.now() - began_ms < 1000);
  });
}
