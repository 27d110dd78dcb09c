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

/**
 * Decodes one CBOR value. No prototype and no code comes from the bytes.
 * With `views`, byte strings are views of `bytes`, not copies.
 * Throws `Error` for anything that `encode` would not have written.
 */
export function decode(bytes: Uint8Array, views = false): unknown {
  const reader = new Reader(bytes, views);
  const value = reader.value(0);
  if (!reader.done) throw new Error("bytes after the value");
  return value;
}

type ViewConstructor = new (buffer: ArrayBuffer) => ArrayBufferView;

const ERRORS: Readonly<Record<string, ErrorConstructor | undefined>> = {
  __proto__: null as never,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};
const VIEW_OF_TAG = new Map(Object.entries(TYPED_ARRAYS).map(([name, tag]) => [tag, name]));
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #views: boolean;
  #at = 0;
  #blobs: (Uint8Array | undefined)[] = [];
  /** Values marked as shared, in the order of their marks. */
  readonly #shared: unknown[] = [];
  /** The place in `#shared` of the value that comes next, or -1. */
  #slot = -1;

  constructor(bytes: Uint8Array, views: boolean) {
    this.#bytes = bytes;
    this.#views = views;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  value(depth: number): unknown {
    const byte = this.#view.getUint8(this.#at++);
    const major = byte >> 5;
    if (major === 7) return this.#simple(byte & 31);
    const number = this.#argument(byte & 31);
    if (major === 0) return number;
    if (major === 1) return -1 - number;
    if (major === 3) return this.#text(number);
    if (major === 2) return this.#enter(this.#views ? this.#take(number) : this.#copy(number));
    if (depth > DEPTH_MAX) throw new Error("nested too deeply");
    if (major === 6) return this.#tagged(number, depth + 1);
    return major === 4 ? this.#array(number, depth + 1) : this.#record({}, number, depth + 1);
  }

  #array(length: number, depth: number): unknown[] {
    const into: unknown[] = this.#enter([]);
    for (let index = 0; index < length; index++) into.push(this.value(depth));
    return into;
  }

  #record<T extends object>(record: T, length: number, depth: number): T {
    const into = this.#enter(record) as Record<string, unknown>;
    for (let index = 0; index < length; index++) {
      const key = textOf(this.value(depth));
      const value = this.value(depth);
      // A plain assignment would reach the prototype.
      if (key === "__proto__") define(into, key, value, true);
      else into[key] = value;
    }
    return record;
  }

  #simple(minor: number): unknown {
    const view = this.#view;
    const at = this.#at;
    switch (minor) {
      case 20:
        return false;
      case 21:
        return true;
      case 22:
        return null;
      case 23:
        return undefined;
      case 25:
        this.#at += 2;
        return half(view.getUint16(at));
      case 26:
        this.#at += 4;
        return view.getFloat32(at);
      case 27:
        this.#at += 8;
        return view.getFloat64(at);
    }
    throw new Error("unknown simple value");
  }

  #argument(minor: number): number {
    if (minor < 24) return minor;
    const view = this.#view;
    const at = this.#at;
    switch (minor) {
      case 24:
        this.#at += 1;
        return view.getUint8(at);
      case 25:
        this.#at += 2;
        return view.getUint16(at);
      case 26:
        this.#at += 4;
        return view.getUint32(at);
      case 27:
        this.#at += 8;
        return view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4);
    }
    throw new Error("indefinite length");
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new Error("cut short");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  #copy(length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#take(length));
  }

  #text(length: number): string {
    const bytes = this.#take(length);
    if (length > 24) return utf8.decode(bytes);
    let text = "";
    for (let index = 0; index < length; index++) {
      const code = bytes[index] as number;
      // The decoder has a high price per call, so short plain texts go without.
      if (code > 127) return utf8.decode(bytes);
      text += String.fromCharCode(code);
    }
    return text;
  }

  /** To be called with each object before its content is read: the content may refer to it. */
  #enter<T>(value: T): T {
    if (this.#slot >= 0) this.#shared[this.#slot] = value;
    this.#slot = -1;
    return value;
  }

  /** Reads what an object is made of. It can't refer to the object, which is not there yet. */
  #made<Part, T>(read: () => Part, make: (part: Part) => T): T {
    const slot = this.#slot;
    this.#slot = -1;
    const part = read();
    this.#slot = slot;
    return this.#enter(make(part));
  }

  #tagged(tag: number, depth: number): unknown {
    switch (tag) {
      case TAG_DATE:
        return this.#made(
          () => numberOf(this.value(depth)),
          (seconds) => new Date(Math.round(seconds * 1000)),
        );
      case TAG_BIG_POSITIVE:
        return this.#bigint();
      case TAG_BIG_NEGATIVE:
        return -1n - this.#bigint();
      case TAG_SHARED:
        this.#slot = this.#shared.push(undefined) - 1;
        return this.value(depth);
      case TAG_REFERENCE:
        return this.#reference(this.#length(0));
      case TAG_SET:
        return this.#set(this.#enter(new Set()), depth);
      case TAG_MAP:
        return this.#map(this.#enter(new Map()), depth);
      case TAG_OBJECT:
        return this.#object(this.#length(4), this.#text(this.#length(3)), depth);
    }
    const view = (globalThis as unknown as Record<string, ViewConstructor | undefined>)[
      VIEW_OF_TAG.get(tag) ?? ""
    ];
    if (!view) throw new Error(`unknown tag ${tag}`);
    return this.#enter(new view(this.#copy(this.#length(2)).buffer));
  }

  /** The argument of an item that must be of this major type. */
  #length(major: number): number {
    const byte = this.#view.getUint8(this.#at++);
    if (byte >> 5 !== major) throw new Error("unexpected type");
    return this.#argument(byte & 31);
  }

  #reference(index: number): unknown {
    if (index >= this.#shared.length) throw new Error("reference to nothing");
    return this.#shared[index];
  }

  #bigint(): bigint {
    let digits = "0x0";
    for (const byte of this.#take(this.#length(2))) digits += (byte + 256).toString(16).slice(1);
    return BigInt(digits);
  }

  #set(into: Set<unknown>, depth: number): Set<unknown> {
    for (let left = this.#length(4); left > 0; left--) into.add(this.value(depth));
    return into;
  }

  #map(into: Map<unknown, unknown>, depth: number): Map<unknown, unknown> {
    for (let left = this.#length(5); left > 0; left--) {
      const key = this.value(depth);
      into.set(key, this.value(depth));
    }
    return into;
  }

  /** `[type name, parts...]`, of which the name is read. */
  #object(length: number, kind: string, depth: number): unknown {
    if (kind === "Error") return this.#error(depth);
    if (kind === "Blobs") {
      const blobs = this.value(depth);
      if (!Array.isArray(blobs)) throw new Error("blobs that are no list");
      this.#blobs = blobs.map(bytesOf);
      return this.value(depth);
    }
    return this.#made(
      // The length is not believed: each part takes a byte at least.
      () => this.#parts(length - 1, depth),
      (parts) => this.#make(kind, parts),
    );
  }

  #parts(length: number, depth: number): unknown[] {
    const parts: unknown[] = [];
    for (let index = 0; index < length; index++) parts.push(this.value(depth));
    return parts;
  }

  #make(kind: string, [first, second, name, lastModified]: readonly unknown[]): unknown {
    switch (kind) {
      case "Date":
        return new Date(numberOf(first));
      case "RegExp":
        return new RegExp(textOf(first), textOf(second));
      case "URL":
        return new URL(textOf(first));
      case "ArrayBuffer":
        return new Uint8Array(bytesOf(first)).buffer;
      case "DataView":
        return new DataView(new Uint8Array(bytesOf(first)).buffer);
      case "Blob":
        return new Blob(this.#blob(first), { type: textOf(second) });
      case "File":
        return new File(this.#blob(first), textOf(name), {
          type: textOf(second),
          lastModified: numberOf(lastModified),
        });
      case "FormData":
        return formData(first);
    }
    throw new Error(`unknown type ${kind}`);
  }

  #blob(index: unknown): BlobPart[] {
    const at = numberOf(index);
    const bytes = this.#blobs[at];
    if (!bytes) throw new Error("a blob without bytes");
    // Once each, or a few bytes that name them again and again would take memory without end.
    this.#blobs[at] = undefined;
    return [new Uint8Array(bytes)];
  }

  /** `name, message, stack, own properties`. The name alone picks the class, from a closed list. */
  #error(depth: number): Error {
    const slot = this.#slot;
    this.#slot = -1;
    const name = textOf(this.value(depth));
    const message = textOf(this.value(depth));
    const stack = this.value(depth);
    const error = new (ERRORS[name] ?? Error)(message);
    this.#slot = slot;
    if (error.name !== name) define(error, "name", name);
    if (typeof stack === "string" && stack) define(error, "stack", stack);
    this.#record(error, this.#length(5), depth);
    const own = error as { cause?: unknown; errors?: unknown };
    if (Object.hasOwn(own, "cause")) define(own, "cause", own.cause);
    if (Object.hasOwn(own, "errors")) define(own, "errors", own.errors);
    return error;
  }
}

function define(into: object, key: string, value: unknown, enumerable = false): void {
  Object.defineProperty(into, key, { value, enumerable, configurable: true, writable: true });
}

function formData(entries: unknown): FormData {
  const form = new FormData();
  if (!Array.isArray(entries)) throw new Error("entries that are no list");
  for (const [key, value] of entries as [unknown, unknown][]) {
    if (value instanceof Blob) form.append(textOf(key), value);
    else form.append(textOf(key), textOf(value));
  }
  return form;
}

// Nothing is converted. A list that holds another one twice, and that one the next, is short as
// bytes and endless as a text; and an array of bytes is made as long as a number says.

/** A key of an object may be a number, from other encoders. */
function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  throw new Error("not a text");
}

function numberOf(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  throw new Error("not a number");
}

function bytesOf(value: unknown): Uint8Array<ArrayBuffer> {
  if (value instanceof Uint8Array) return value as Uint8Array<ArrayBuffer>;
  throw new Error("not bytes");
}

/** A number of 16 bits, which other encoders may write. */
function half(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits >> 15 ? -1 : 1;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}
