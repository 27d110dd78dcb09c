// One appended block: what it changes, with its bytes, under a checksum. All numbers are little
// endian, and each block begins at a multiple of 16.
//
//   0  magic        u32   "tmqb"
//   4  format       u16
//   6  kind         u16   1: all that is live, the first of its file; 2: a change
//   8  entries      u32   bytes
//  12  body         u32   bytes
//  16  synced       u64   up to here the file was on the disk when this was written; in the first,
//                         when the file got its name
//  24  checksum     u32   of entries and body
//  28  checksum     u32   of the 28 bytes before, begun with that of the name of the file, so that
//                         no body can be taken for a block
//  32  entries, then body, then zeros

import { crc32 } from "node:zlib";

import type { Key, Put } from "./store.js";

export const FORMAT = 1;
export const ALIGNMENT = 16;
const HEAD_BYTES = 32;
const MAGIC = 0x62716d74;
const ENTRY_BYTES = 12;
const DELETED = 0xffff_ffff;

export const KIND = { snapshot: 1, change: 2 } as const;

export interface Block {
  readonly kind: number;
  readonly format: number;
  readonly synced: number;
  readonly entries: Uint8Array;
  /** Where its body begins in the file. */
  readonly body_at: number;
  /** Where the next one begins. */
  readonly end: number;
}

/** What a change says of one key. */
export interface Entry {
  readonly key: Key;
  /** Its bytes in the file; absent if it is deleted. */
  readonly place: { readonly offset: number; readonly length: number } | undefined;
}

/** What the checksums of the heads of a file begin with. */
export const saltOf = (name: string): number => crc32(new TextEncoder().encode(name));

export function encodeBlock(
  salt: number,
  kind: number,
  synced: number,
  entries: Uint8Array,
  body: readonly Uint8Array[],
): Uint8Array {
  const body_bytes = body.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(aligned(HEAD_BYTES + entries.length + body_bytes));
  const view = new DataView(bytes.buffer);
  bytes.set(entries, HEAD_BYTES);
  let at = HEAD_BYTES + entries.length;
  for (const part of body) {
    bytes.set(part, at);
    at += part.length;
  }
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, FORMAT, true);
  view.setUint16(6, kind, true);
  view.setUint32(8, entries.length, true);
  view.setUint32(12, body_bytes, true);
  setNumber(view, 16, synced);
  view.setUint32(24, crc32(bytes.subarray(HEAD_BYTES, at)), true);
  view.setUint32(28, crc32(bytes.subarray(0, 28), salt), true);
  return bytes;
}

/** The length of a block with so many bytes of entries and none of a body. */
export const headBytes = (entries: number): number => aligned(HEAD_BYTES + entries);

/** The block at a place of a file; nothing if it is not as it was written. */
export function blockAt(salt: number, file: Uint8Array, at: number): Block | undefined {
  const head = headAt(salt, file, at);
  if (!head) return undefined;
  const { view, entries, body } = head;
  const entries_at = at + HEAD_BYTES;
  const body_at = entries_at + entries;
  if (body_at + body > file.length) return undefined;
  if (view.getUint32(24, true) !== crc32(file.subarray(entries_at, body_at + body)))
    return undefined;
  return {
    kind: view.getUint16(6, true),
    format: view.getUint16(4, true),
    synced: getNumber(view, 16),
    entries: file.subarray(entries_at, body_at),
    body_at,
    end: at + aligned(HEAD_BYTES + entries + body),
  };
}

/** The format that a file says it has; nothing if its first head is not as it was written. */
export function formatOf(salt: number, file: Uint8Array): number | undefined {
  return headAt(salt, file, 0)?.view.getUint16(4, true);
}

/** Whether a later block says that what is at this place was on the disk. */
export function wasSynced(salt: number, file: Uint8Array, at: number): boolean {
  for (let place = at + ALIGNMENT; place + HEAD_BYTES <= file.length; place += ALIGNMENT) {
    const head = headAt(salt, file, place);
    if (head && getNumber(head.view, 16) > at) return true;
  }
  return false;
}

function headAt(salt: number, file: Uint8Array, at: number) {
  if (at + HEAD_BYTES > file.length) return undefined;
  const view = new DataView(file.buffer, file.byteOffset + at, HEAD_BYTES);
  if (view.getUint32(0, true) !== MAGIC) return undefined;
  if (view.getUint32(28, true) !== crc32(file.subarray(at, at + 28), salt)) return undefined;
  return { view, entries: view.getUint32(8, true), body: view.getUint32(12, true) };
}

/** The block of a change, and where each put will be. */
export function encodeChange(
  salt: number,
  at: number,
  synced: number,
  puts: readonly Put[],
  deletes: readonly Key[],
): { bytes: Uint8Array; entries: Entry[] } {
  const encoded = new Uint8Array((puts.length + deletes.length) * ENTRY_BYTES);
  const view = new DataView(encoded.buffer);
  const entries: Entry[] = [];
  let offset = 0;
  const body_at = at + HEAD_BYTES + encoded.length;
  const add = (key: number, length: number, place: Entry["place"]) => {
    const entry_at = entries.length * ENTRY_BYTES;
    setNumber(view, entry_at, key);
    view.setUint32(entry_at + 8, length, true);
    entries.push({ key, place });
  };
  for (const { key, bytes } of puts) {
    add(key, bytes.length, { offset: body_at + offset, length: bytes.length });
    offset += bytes.length;
  }
  for (const key of deletes) add(key, DELETED, undefined);
  const bodies = puts.map(({ bytes }) => bytes);
  return { bytes: encodeBlock(salt, KIND.change, synced, encoded, bodies), entries };
}

export function decodeChange(block: Block): Entry[] {
  const { entries: encoded, body_at } = block;
  const view = new DataView(encoded.buffer, encoded.byteOffset, encoded.length);
  const entries: Entry[] = [];
  let offset = body_at;
  for (let at = 0; at + ENTRY_BYTES <= encoded.length; at += ENTRY_BYTES) {
    const [key, length] = [getNumber(view, at), view.getUint32(at + 8, true)];
    if (length === DELETED) {
      entries.push({ key, place: undefined });
      continue;
    }
    entries.push({ key, place: { offset, length } });
    offset += length;
  }
  return entries;
}

export function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** Numbers beyond those that JavaScript counts with do not occur. */
export function setNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 0x1_0000_0000, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

export function getNumber(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
}
