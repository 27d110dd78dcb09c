import { join } from "node:path";

import { blockAt, decodeChange, FORMAT, formatOf, KIND, saltOf, wasSynced } from "./block.js";
import type { Listing } from "./names.js";
import type { Key } from "./store.js";
import * as system from "./system.js";
import { type Place, View } from "./view.js";

/** A file is not what was written. */
export class Damaged extends Error {
  constructor(path: string, at: number) {
    super(`${path} is damaged at byte ${at}`);
  }
}

/** A newer version of this software wrote the folder. */
export class NewerFormat extends Error {}

/** What a folder holds, and what it was read from. */
export interface Loaded {
  readonly view: View;
  /**
   * Where a block says of itself alone that it is there. After a sync that failed the system shows
   * what the disk does not have, and says no more about it; so it is copied, and not referred to.
   */
  readonly doubtful: readonly Key[];
  readonly segment: string | undefined;
  readonly size_bytes: number;
}

/**
 * Reads the newest segment: its first block says all that is live, the others what changed since.
 * A last block that is not whole was cut off by the death of its writer, and is cut.
 */
export async function load(folder: string, { segments, reserve }: Listing): Promise<Loaded> {
  const segment = segments.at(-1);
  if (segment === undefined) {
    const view = new View();
    view.reserve = reserve;
    return { view, doubtful: [], segment, size_bytes: 0 };
  }
  const path = join(folder, segment);
  const bytes = await readAll(path);
  const salt = saltOf(segment);
  if ((formatOf(salt, bytes) ?? FORMAT) > FORMAT)
    throw new NewerFormat(`${path} has a newer format`);
  const first = blockAt(salt, bytes, 0);
  if (first?.kind !== KIND.snapshot) throw new Damaged(path, 0);
  const view = View.decode(first);
  let at = first.end;
  let { synced } = first;
  for (let block = blockAt(salt, bytes, at); block; block = blockAt(salt, bytes, at)) {
    view.apply(segment, decodeChange(block));
    synced = Math.max(synced, block.synced);
    at = block.end;
  }
  if (at < synced || wasSynced(salt, bytes, at)) throw new Damaged(path, at);
  view.part(segment).size_bytes = at;
  view.reserve = reserve;
  const doubtful = Array.from(view.part(segment).keys).filter((key) => {
    return (view.places.get(key) as Place).offset >= synced;
  });
  return { view, doubtful, segment, size_bytes: bytes.length };
}

/** Whether a segment is as long as it was when it was read. */
export async function isUnchanged(
  folder: string,
  { segments }: Listing,
  { segment, size_bytes }: Loaded,
): Promise<boolean> {
  if (segments.at(-1) !== segment) return false;
  if (segment === undefined) return true;
  return withFile(join(folder, segment), async (file) => {
    return (await system.size(file)) === size_bytes;
  });
}

function readAll(path: string): Promise<Uint8Array> {
  return withFile(path, async (file) => system.read(file, 0, await system.size(file)));
}

async function withFile<T>(path: string, run: (file: number) => Promise<T>): Promise<T> {
  const file = await system.open(path, "r");
  try {
    return await run(file);
  } finally {
    await system.close(file);
  }
}
