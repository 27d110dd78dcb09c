import { unencodable } from "../errors.js";
import {
  DEPTH_MAX,
  TAG_BIG_NEGATIVE,
  TAG_BIG_POSITIVE,
  TAG_DATE,
  TAG_MAP,
  TAG_OBJECT,
  TAG_REFERENCE,
  TAG_SET,
  TAG_SHARED,
  TYPED_ARRAYS,
} from "./tags.js";
import { Writer } from "./writer.js";

/**
 * Encodes a value as CBOR. The value is read at once; later changes to it do not show. With blobs
 * inside, the answer is a promise, since their bytes come from elsewhere.
 * `root` is how the path of a refused part begins. Throws `UNENCODABLE` or rejects with it.
 */
export function encode(value: unknown, root = "body"): Uint8Array | Promise<Uint8Array> {
  const encoder = new Encoder();
  let bytes: Uint8Array;
  try {
    encoder.value(value, 0);
    bytes = encoder.finish();
  } catch (error) {
    if (error instanceof Refusal) throw unencodable(root + error.path, error.what);
    throw error;
  } finally {
    encoder.release();
  }
  return encoder.blobs.length ? withBlobs(encoder.blobs, bytes, root) : bytes;
}

/** Encodes what is known to hold no blob. */
export function encodeNow(value: unknown): Uint8Array {
  return encode(value) as Uint8Array;
}

/** What can't travel. The path grows on the way out through the containers. */
class Refusal extends Error {
  readonly what: string;
  path = "";

  constructor(what: string) {
    super(what);
    this.what = what;
  }

  within(key: string | number): this {
    const isName = typeof key === "string" && /^[\w$]+$/.test(key);
    this.path = (isName ? `.${key}` : `[${JSON.stringify(key)}]`) + this.path;
    return this;
  }
}

/** Where an object is met again, and where its first occurrence begins. */
interface Repeat {
  readonly at: number;
  readonly first: number;
}

class Encoder extends Writer {
  readonly blobs: Blob[] = [];
  /** Where each object begins. */
  #seen: Map<object, number> | undefined;
  readonly #repeats: Repeat[] = [];

  value(value: unknown, depth: number): void {
    switch (typeof value) {
      case "string":
        return this.text(value);
      case "number":
        return this.number(value);
      case "boolean":
        return this.byte(value ? 0xf5 : 0xf4);
      case "undefined":
        return this.byte(0xf7);
      case "bigint":
        return this.#bigint(value);
      case "object":
        return value === null ? this.byte(0xf6) : this.#object(value, depth);
    }
    throw new Refusal(typeof value);
  }

  /** The bytes, with marks on what is referred to and references to them. */
  finish(): Uint8Array {
    if (!this.#repeats.length) return this.copy();
    const shared = [...new Set(this.#repeats.map(({ first }) => first))].sort((a, b) => a - b);
    const marks = [
      ...shared.map((at) => ({ at, tag: TAG_SHARED, index: -1 })),
      ...this.#repeats.map(({ at, first }) => ({
        at,
        tag: TAG_REFERENCE,
        index: shared.indexOf(first),
      })),
    ].sort((a, b) => a.at - b.at);
    const marked = new Writer();
    let from = 0;
    for (const { at, tag, index } of marks) {
      marked.raw(this.written.subarray(from, at));
      marked.head(6, tag);
      if (index >= 0) marked.head(0, index);
      from = at;
    }
    marked.raw(this.written.subarray(from));
    return marked.written;
  }

  #object(value: object, depth: number): void {
    // Nothing inside of it could be it again, and it is most of what is sent by itself.
    if (!depth && ArrayBuffer.isView(value)) return this.#bytes(value, kindOf(value), depth);
    this.#seen ??= new Map();
    const first = this.#seen.get(value);
    if (first !== undefined) {
      this.#repeats.push({ at: this.at, first });
      return;
    }
    if (depth > DEPTH_MAX) throw new Refusal("nested too deeply");
    this.#seen.set(value, this.at);
    if (Array.isArray(value)) return this.#array(value, depth);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === null || prototype === Object.prototype) return this.#record(value, depth);
    this.#special(value, depth);
  }

  #array(values: readonly unknown[], depth: number): void {
    this.head(4, values.length);
    let index = 0;
    try {
      for (; index < values.length; index++) this.value(values[index], depth + 1);
    } catch (error) {
      throw error instanceof Refusal ? error.within(index) : error;
    }
  }

  #record(record: object, depth: number): void {
    const keys = Object.keys(record);
    this.head(5, keys.length);
    let key = "";
    try {
      for (key of keys) {
        this.text(key);
        this.value((record as Record<string, unknown>)[key], depth + 1);
      }
    } catch (error) {
      throw error instanceof Refusal ? error.within(key) : error;
    }
  }

  /**
   * Everything that is neither an array nor a plain object. Told apart by its tag, not by its
   * class, since an object of a frame has the classes of that frame.
   */
  #special(value: object, depth: number): void {
    const kind = kindOf(value);
    if (ArrayBuffer.isView(value)) return this.#bytes(value, kind, depth);
    switch (kind) {
      case "Date":
        return this.#date((value as Date).getTime(), depth);
      case "Map":
        return this.#map(value as Map<unknown, unknown>, depth);
      case "Set":
        this.head(6, TAG_SET);
        return this.#array([...(value as Set<unknown>)], depth);
      case "RegExp":
        return this.#named(kind, depth, (value as RegExp).source, (value as RegExp).flags);
      case "URL":
        return this.#named(kind, depth, (value as URL).href);
      case "ArrayBuffer":
        return this.#named(kind, depth, new Uint8Array(value as ArrayBuffer));
      case "Error":
      case "DOMException":
        return this.#error(value as Error, depth);
      case "Blob":
        return this.#named(kind, depth, ...this.#blob(value as Blob));
      case "File": {
        const { name, lastModified } = value as File;
        return this.#named(kind, depth, ...this.#blob(value as File), name, lastModified);
      }
      case "FormData":
        return this.#named(kind, depth, [...(value as FormData)]);
    }
    const prototype = Object.getPrototypeOf(value) as object;
    // A plain object of a frame.
    if (Object.getPrototypeOf(prototype) === null) return this.#record(value, depth);
    throw new Refusal(prototype.constructor.name || kind);
  }

  /** In seconds, as CBOR has it, but exact also where a fraction of a second is not. */
  #date(unix_ms: number, depth: number): void {
    const seconds = unix_ms / 1000;
    if (Math.round(seconds * 1000) !== unix_ms && !Number.isNaN(unix_ms)) {
      return this.#named("Date", depth, unix_ms);
    }
    this.head(6, TAG_DATE);
    this.number(seconds);
  }

  #map(map: ReadonlyMap<unknown, unknown>, depth: number): void {
    this.head(6, TAG_MAP);
    this.head(5, map.size);
    let place: string | number = "";
    try {
      for (const [key, value] of map) {
        place = typeof key === "string" || typeof key === "number" ? key : kindOf(key);
        this.value(key, depth + 1);
        this.value(value, depth + 1);
      }
    } catch (error) {
      throw error instanceof Refusal ? error.within(place) : error;
    }
  }

  #bytes(value: ArrayBufferView, kind: string, depth: number): void {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    if (kind === "DataView") return this.#named(kind, depth, bytes);
    const tag = TYPED_ARRAYS[kind];
    if (tag) this.head(6, tag);
    this.head(2, bytes.length);
    this.raw(bytes);
  }

  #blob(blob: Blob): [index: number, type: string] {
    return [this.blobs.push(blob) - 1, blob.type];
  }

  /** An error always travels; parts of it that can't are left out. */
  #error(error: Error, depth: number): void {
    const { name, message, stack } = error;
    this.#begin("Error", 5);
    for (const text of [`${name}`, `${message}`, stack]) this.value(text, depth);
    this.byte(0xb8);
    const place = this.at;
    this.byte(0);
    const hidden = ["cause", "errors"].filter((key) => Object.hasOwn(error, key));
    const keys = new Set([...Object.keys(error), ...hidden].slice(0, 255));
    let count = 0;
    for (const key of keys) if (this.#part(key, error, depth + 1)) count += 1;
    this.patch(place, count);
  }

  /** One entry of an error, or nothing of it. */
  #part(key: string, error: Error, depth: number): boolean {
    const { at } = this;
    const repeats = this.#repeats.length;
    const blobs = this.blobs.length;
    try {
      this.text(key);
      this.value(error[key as keyof Error], depth);
      return true;
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      this.at = at;
      this.#repeats.length = repeats;
      this.blobs.length = blobs;
      for (const [object, begin] of this.#seen ?? []) if (begin >= at) this.#seen?.delete(object);
      return false;
    }
  }

  #begin(name: string, length: number): void {
    this.head(6, TAG_OBJECT);
    this.head(4, length);
    this.text(name);
  }

  #named(name: string, depth: number, ...parts: readonly unknown[]): void {
    this.#begin(name, parts.length + 1);
    for (const part of parts) this.value(part, depth + 1);
  }

  #bigint(value: bigint): void {
    const isNegative = value < 0n;
    const digits = (isNegative ? -1n - value : value).toString(16);
    const length = (digits.length + 1) >> 1;
    this.head(6, isNegative ? TAG_BIG_NEGATIVE : TAG_BIG_POSITIVE);
    this.head(2, length);
    const even = digits.padStart(length * 2, "0");
    for (let at = 0; at < even.length; at += 2)
      this.byte(Number.parseInt(even.slice(at, at + 2), 16));
  }
}

function kindOf(value: unknown): string {
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  // Bun calls both so.
  return kind === "Blob" && value instanceof globalThis.File ? "File" : kind;
}

/** The bytes of all blobs come first, so that a reader has them when it meets the value. */
async function withBlobs(
  blobs: readonly Blob[],
  value: Uint8Array,
  root: string,
): Promise<Uint8Array> {
  const contents = await Promise.all(blobs.map((blob) => blob.arrayBuffer())).catch(
    (error: unknown) => {
      throw unencodable(root, "the bytes of a blob can't be read", error);
    },
  );
  const writer = new Writer();
  writer.head(6, TAG_OBJECT);
  writer.head(4, 3);
  writer.text("Blobs");
  writer.head(4, contents.length);
  for (const content of contents) {
    writer.head(2, content.byteLength);
    writer.raw(new Uint8Array(content));
  }
  writer.raw(value);
  return writer.written;
}
