import { type Block, type Entry, getNumber, setNumber } from "./block.js";
import { type Key, KIND_CHUNK, kindOf, numberOf, PLACEHOLDER } from "./store.js";

export interface Place {
  readonly segment: Part;
  readonly offset: number;
  readonly length: number;
}

/** What of one segment is live. */
export interface Part {
  readonly name: string;
  readonly keys: Set<Key>;
  live_bytes: number;
  /** Its length, once nothing is appended any more. */
  size_bytes: number;
}

const NAME_BYTES = 45;
const FILE_BYTES = NAME_BYTES + 8;
const PLACE_BYTES = 24;

/** Where each key is. */
export class View {
  readonly places = new Map<Key, Place>();
  readonly parts = new Map<string, Part>();
  /** The placeholder is there. */
  reserve = false;

  part(name: string): Part {
    let part = this.parts.get(name);
    if (!part) {
      part = { name, keys: new Set(), live_bytes: 0, size_bytes: 0 };
      this.parts.set(name, part);
    }
    return part;
  }

  apply(name: string, entries: readonly Entry[]): void {
    const segment = this.part(name);
    for (const { key, place } of entries) {
      this.#forget(key);
      if (place) this.#put(key, { segment, ...place });
    }
  }

  /** The numbers of the chunks, ascending. */
  chunks(): number[] {
    const chunks = this.reserve ? [numberOf(PLACEHOLDER)] : [];
    for (const key of this.places.keys())
      if (kindOf(key) === KIND_CHUNK) chunks.push(numberOf(key));
    return chunks.sort((one, other) => one - other);
  }

  /** All of it, as the first block of a segment says it. */
  encode(): Uint8Array {
    const parts = [...this.parts.values()].filter(({ keys }) => keys.size);
    const bytes = new Uint8Array(
      4 + parts.length * FILE_BYTES + this.places.size * PLACE_BYTES,
    );
    const view = new DataView(bytes.buffer);
    view.setUint32(0, parts.length, true);
    const numbers = new Map<Part, number>();
    let at = 4;
    for (const part of parts) {
      numbers.set(part, numbers.size);
      new TextEncoder().encodeInto(part.name, bytes.subarray(at, at + NAME_BYTES));
      setNumber(view, at + NAME_BYTES, part.size_bytes);
      at += FILE_BYTES;
    }
    for (const [key, { segment, offset, length }] of this.places) {
      setNumber(view, at, key);
      view.setUint32(at + 8, numbers.get(segment) ?? 0, true);
      setNumber(view, at + 12, offset);
      view.setUint32(at + 20, length, true);
      at += PLACE_BYTES;
    }
    return bytes;
  }

  static decode({ entries: bytes }: Block): View {
    const made = new View();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const count = view.getUint32(0, true);
    const parts: Part[] = [];
    let at = 4;
    for (; parts.length < count; at += FILE_BYTES) {
      const part = made.part(new TextDecoder().decode(bytes.subarray(at, at + NAME_BYTES)));
      part.size_bytes = getNumber(view, at + NAME_BYTES);
      parts.push(part);
    }
    for (; at < bytes.length; at += PLACE_BYTES) {
      const segment = parts[view.getUint32(at + 8, true)] as Part;
      const [offset, length] = [getNumber(view, at + 12), view.getUint32(at + 20, true)];
      made.#put(getNumber(view, at), { segment, offset, length });
    }
    return made;
  }

  #put(key: Key, place: Place): void {
    this.places.set(key, place);
    place.segment.keys.add(key);
    place.segment.live_bytes += place.length;
  }

  #forget(key: Key): void {
    const place = this.places.get(key);
    if (!place) return;
    this.places.delete(key);
    place.segment.keys.delete(key);
    place.segment.live_bytes -= place.length;
  }
}
