import { join } from "node:path";

import { saltOf } from "./block.js";
import { UNFINISHED_SUFFIX } from "./names.js";
import { StoreFault } from "./store.js";
import * as system from "./system.js";

/** The file that is appended to. Nothing in it is ever written twice. */
export class Segment {
  readonly name: string;
  readonly file: number;
  readonly salt: number;
  /** Where the next block goes. */
  end: number;
  /** Up to here it is on the disk. */
  synced: number;
  readonly first_bytes: number;

  private constructor(name: string, file: number, bytes: number) {
    this.name = name;
    this.file = file;
    this.salt = saltOf(name);
    this.end = this.synced = this.first_bytes = bytes;
  }

  /** A segment is there with these, its first blocks, or not at all. */
  static async create(folder: string, name: string, blocks: Uint8Array[]): Promise<Segment> {
    const path = join(folder, name);
    let file: number | undefined;
    try {
      file = await system.open(path + UNFINISHED_SUFFIX, "wx+");
      let at = 0;
      for (const block of blocks) {
        await system.write(file, block, at);
        at += block.length;
      }
      await system.sync(file);
      await system.rename(path + UNFINISHED_SUFFIX, path);
    } catch (error) {
      if (file !== undefined) await discard(file, path + UNFINISHED_SUFFIX);
      throw new StoreFault(system.isFull(error) ? "quota" : "aborted", error);
    }
    try {
      await system.syncFolder(folder);
    } catch (error) {
      await system.close(file);
      throw new StoreFault("lost", error);
    }
    return new Segment(name, file, blocks.reduce((sum, { length }) => sum + length, 0));
  }

  /** Appends all of a block, or nothing. */
  async append(bytes: Uint8Array): Promise<void> {
    try {
      await system.write(this.file, bytes, this.end);
    } catch (error) {
      try {
        await system.truncate(this.file, this.end);
      } catch {
        throw new StoreFault("lost", error);
      }
      throw new StoreFault(system.isFull(error) ? "quota" : "aborted", error);
    }
    this.end += bytes.length;
  }

  async sync(): Promise<void> {
    const { end } = this;
    if (this.synced === end) return;
    try {
      await system.sync(this.file);
    } catch (error) {
      // What a second attempt said would be worth nothing: the system may have dropped the bytes.
      throw new StoreFault("lost", error);
    }
    this.synced = end;
  }
}

async function discard(file: number, path: string): Promise<void> {
  try {
    await system.close(file);
    await system.remove(path);
  } catch {
    // Whoever opens the folder next removes it.
  }
}

/** The segments that are only read. */
export class Readers {
  readonly #folder: string;
  readonly #files = new Map<string, number>();
  static readonly FILES_MAX = 64;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Fewer bytes than asked for, or none, if they are not there. */
  async read(name: string, offset: number, length: number): Promise<Uint8Array> {
    let file = this.#files.get(name);
    if (file === undefined) {
      try {
        file = await system.open(join(this.#folder, name), "r");
      } catch (error) {
        if (system.codeOf(error) === "ENOENT") return new Uint8Array();
        throw error;
      }
      await this.take(name, file);
    }
    return system.read(file, offset, length);
  }

  /** Keeps an open file, and closes the one opened longest ago if there are too many. */
  async take(name: string, file: number): Promise<void> {
    this.#files.set(name, file);
    const [oldest] = this.#files.keys();
    if (this.#files.size > Readers.FILES_MAX && oldest !== undefined) await this.drop(oldest);
  }

  async drop(name: string): Promise<void> {
    const file = this.#files.get(name);
    if (file === undefined) return;
    this.#files.delete(name);
    await system.close(file);
  }

  async close(): Promise<void> {
    const names = Array.from(this.#files.keys());
    for (const name of names) await this.drop(name);
  }
}
