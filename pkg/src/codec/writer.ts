const utf8 = new TextEncoder();
const BYTES_MIN = 4096;
/** A buffer that grew further is not kept. */
const BYTES_KEPT_MAX = 1 << 20;

/** The buffer of the last encoder; absent while one is at work, as a getter may encode as well. */
let spare: Buffer | undefined;

interface Buffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

function bufferOf(length: number): Buffer {
  const bytes = new Uint8Array(length);
  return { bytes, view: new DataView(bytes.buffer) };
}

/** Writes the items of CBOR that have no content of their own. */
export class Writer {
  at = 0;
  #buffer: Buffer;
  #bytes: Uint8Array;
  #view: DataView;

  constructor() {
    this.#buffer = spare ?? bufferOf(BYTES_MIN);
    ({ bytes: this.#bytes, view: this.#view } = this.#buffer);
    spare = undefined;
  }

  /** A view of what was written. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.at);
  }

  /** What was written, for good. */
  copy(): Uint8Array {
    return this.#bytes.slice(0, this.at);
  }

  /** Gives the buffer to the next writer; views of it end here. */
  release(): void {
    if (this.#bytes.length <= BYTES_KEPT_MAX) spare = this.#buffer;
  }

  byte(byte: number): void {
    this.#room(1);
    this.#bytes[this.at++] = byte;
  }

  /** Writes over a byte. */
  patch(at: number, byte: number): void {
    this.#bytes[at] = byte;
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      return value < 0 ? this.head(1, -1 - value) : this.head(0, value);
    }
    this.#room(9);
    this.#bytes[this.at] = 0xfb;
    this.#view.setFloat64(this.at + 1, value);
    this.at += 9;
  }

  text(value: string): void {
    const { length } = value;
    if (length < 24) {
      this.#room(length + 1);
      let at = this.at;
      this.#bytes[at++] = 0x60 | length;
      for (let index = 0; index < length; index++) {
        const code = value.charCodeAt(index);
        if (code > 127) break;
        this.#bytes[at++] = code;
      }
      // The encoder has a high price per call, so short plain texts go without.
      if (at === this.at + length + 1) {
        this.at = at;
        return;
      }
    }
    const bytes = utf8.encode(value);
    this.head(3, bytes.length);
    this.raw(bytes);
  }

  head(major: number, argument: number): void {
    this.#room(9);
    const { at } = this;
    const view = this.#view;
    const kind = major << 5;
    if (argument < 24) {
      view.setUint8(at, kind | argument);
      this.at += 1;
    } else if (argument < 0x100) {
      view.setUint8(at, kind | 24);
      view.setUint8(at + 1, argument);
      this.at += 2;
    } else if (argument < 0x10000) {
      view.setUint8(at, kind | 25);
      view.setUint16(at + 1, argument);
      this.at += 3;
    } else if (argument < 0x1_0000_0000) {
      view.setUint8(at, kind | 26);
      view.setUint32(at + 1, argument);
      this.at += 5;
    } else {
      view.setUint8(at, kind | 27);
      view.setUint32(at + 1, argument / 0x1_0000_0000);
      view.setUint32(at + 5, argument);
      this.at += 9;
    }
  }

  #room(bytes: number): void {
    const needed = this.at + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = bufferOf(Math.max(this.#bytes.length * 2, needed));
    grown.bytes.set(this.written);
    this.#buffer = grown;
    ({ bytes: this.#bytes, view: this.#view } = grown);
  }
}
