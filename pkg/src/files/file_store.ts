import { join } from "node:path";

import { encodeBlock, encodeChange, headBytes, KIND, saltOf } from "./block.js";
import { Damaged, isUnchanged, load, type Loaded, NewerFormat } from "./load.js";
import { lock } from "./lock.js";
import {
  claimName,
  epochOf,
  type Listing,
  RESERVE,
  segmentName,
  sorted,
  UNFINISHED_SUFFIX,
} from "./names.js";
import { Readers, Segment } from "./segment.js";
import {
  type Commit,
  type Key,
  MANIFEST,
  PLACEHOLDER,
  type Put,
  type Store,
  StoreFault,
  Unusable,
} from "./store.js";
import * as system from "./system.js";
import { type Part, View } from "./view.js";

/** A segment is closed once it is this long, and four times as long as what it begins with. */
const SEGMENT_BYTES = 4 << 20;
const SEGMENT_SNAPSHOTS = 4;
/** So much is written with no sync before one comes unasked. */
const UNSYNCED_BYTES = 1 << 20;
/** What is copied at a time. */
const COPY_BYTES = 1 << 20;
/** A file may go while it is read by one who has not claimed the folder. */
const LOOKS_MAX = 4;
/** What is told in place of a manifest that is not as it was written. */
const DAMAGED = new Uint8Array();

/**
 * A store in one folder. An epoch is claimed by a file of its name. Each epoch appends to segments
 * of its own, and a segment begins with a list of all that is live, so that whatever another writer
 * appends to an older one, then or later, does not count.
 */
export class FileStore implements Store {
  readonly #folder: string;
  readonly #readers: Readers;
  #unlock: (() => Promise<void>) | undefined;
  /** The epoch that this store has claimed. */
  #own: string | undefined;
  /** How many segments that epoch has begun. */
  #begun = 0;
  #loaded: Loaded | undefined;
  #segment: Segment | undefined;
  /** Why nothing can be written any more. */
  #over: StoreFault | undefined;
  /** No segment is begun before the last one is this long: there was no room for it. */
  #patience_bytes = 0;

  constructor(folder: string) {
    this.#folder = folder;
    this.#readers = new Readers(folder);
  }

  async open(): Promise<void> {
    try {
      await system.makeFolder(this.#folder);
      await system.checkWritable(this.#folder);
      this.#unlock = await lock(this.#folder);
    } catch (error) {
      const reason = system.isFull(error) ? "quota" : "open";
      throw new Unusable(reason, `${this.#folder} can't be used`, error);
    }
    if (!this.#unlock) throw new Unusable("in use", `another process uses ${this.#folder}`);
    try {
      await this.look();
    } catch (error) {
      if (error instanceof NewerFormat) throw new Unusable("format", error.message);
      if (!(error instanceof StoreFault)) throw new Unusable("open", String(error), error);
    }
  }

  async look(): Promise<{ fence: string | undefined; manifest: Uint8Array | undefined }> {
    for (let tries = 1; ; tries++) {
      const listing = await this.#list();
      const fence = listing.epoch;
      try {
        if (fence !== undefined && fence === this.#own) await this.#seal(() => this.#begin());
        else await this.#lookOn(listing);
        return { fence, manifest: await this.#manifest() };
      } catch (error) {
        if (error instanceof Damaged) {
          this.note(error);
          return { fence, manifest: DAMAGED };
        }
        if (error instanceof StoreFault || error instanceof NewerFormat) throw error;
        if (tries === LOOKS_MAX) throw new StoreFault("aborted", error);
      }
    }
  }

  /** Reads what another may be writing: the folder is not, or no longer, claimed by this store. */
  async #lookOn(listing: Listing): Promise<void> {
    if (this.#segment) this.#over = new StoreFault("fenced");
    await this.#leave();
    await this.#load(listing);
  }

  async #load(listing: Listing): Promise<Loaded> {
    const loaded = this.#loaded;
    if (loaded && (await isUnchanged(this.#folder, listing, loaded))) {
      loaded.view.reserve = listing.reserve;
      return loaded;
    }
    return (this.#loaded = await load(this.#folder, listing));
  }

  /** Something is wrong that no answer tells in full. */
  note: (error: unknown) => void = () => {};

  async commit({ expect, claim, strict, puts, deletes }: Commit): Promise<void> {
    if (claim !== undefined && claim !== this.#own) await this.#claim(expect, claim);
    else if (expect !== this.#own) throw new StoreFault("fenced");
    if (this.#over) throw this.#over;
    if (!puts.length && !deletes.length) return;
    await this.#final(async () => {
      const segment = await this.#begin();
      await this.#keepReserve(puts);
      const listed = (key: Key) => key !== PLACEHOLDER;
      const [kept, gone] = [puts.filter(({ key }) => listed(key)), deletes.filter(listed)];
      const entries = await this.#append(segment, kept, gone);
      if (strict) await segment.sync();
      await this.#check();
      this.#view.apply(segment.name, entries);
      if (deletes.includes(PLACEHOLDER)) await this.#giveReserve();
    });
  }

  /** Begins a new segment if the last one is long, and removes those in which nothing is live. */
  async tidy(): Promise<void> {
    const segment = this.#segment;
    if (!segment || this.#over) return;
    await this.#final(async () => {
      const long = Math.max(SEGMENT_BYTES, SEGMENT_SNAPSHOTS * segment.first_bytes);
      if (segment.end >= Math.max(long, this.#patience_bytes)) await this.#turn(segment);
      else if (segment.end - segment.synced >= UNSYNCED_BYTES) await segment.sync();
      await this.#copySparse();
      await this.#removeDead();
    });
  }

  async read(keys: readonly Key[]): Promise<(Uint8Array | undefined)[]> {
    const values: (Uint8Array | undefined)[] = [];
    try {
      for (const key of keys) values.push(await this.#value(key));
    } catch (error) {
      throw new StoreFault("aborted", error);
    }
    return values;
  }

  list(): number[] {
    return this.#view.chunks();
  }

  async fence(): Promise<string | undefined> {
    return (await this.#list()).epoch;
  }

  /** What was written is on the disk, and said to be: from now on no loss of it goes unnoticed. */
  async close(): Promise<void> {
    try {
      const segment = this.#segment;
      if (segment && !this.#over && segment.end > segment.first_bytes) {
        await segment.sync();
        const { salt, end } = segment;
        await segment.append(encodeBlock(salt, KIND.change, end, new Uint8Array(), []));
      }
    } catch (error) {
      this.note(error);
    }
    await this.#leave();
    await this.#unlock?.();
  }

  get #view(): View {
    return this.#loaded?.view ?? new View();
  }

  async #list(): Promise<Listing> {
    try {
      return sorted(await system.names(this.#folder));
    } catch (error) {
      throw new StoreFault("aborted", error);
    }
  }

  /** From the first failure on whose outcome is unknown nothing is written any more. */
  async #seal<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      const isFinal = error instanceof StoreFault && ["lost", "fenced"].includes(error.fault);
      if (isFinal) this.#over = error;
      throw error;
    }
  }

  /** The same, and what is not foreseen is such a failure. */
  #final<T>(run: () => Promise<T>): Promise<T> {
    return this.#seal(async () => {
      try {
        return await run();
      } catch (error) {
        throw error instanceof StoreFault ? error : new StoreFault("lost", error);
      }
    });
  }

  /** Makes the epoch the highest of the folder, on the disk, before an older file is read again. */
  async #claim(expect: string | undefined, claim: string): Promise<void> {
    const { epoch } = await this.#list();
    if (epoch !== expect || (epoch !== undefined && claim <= epoch)) throw new StoreFault("fenced");
    await this.#leave();
    this.#own = this.#over = undefined;
    try {
      await system.close(await system.open(join(this.#folder, claimName(claim)), "wx+"));
    } catch (error) {
      throw new StoreFault(system.isFull(error) ? "quota" : "aborted", error);
    }
    await this.#final(async () => {
      await system.syncFolder(this.#folder);
      const { epochs } = await this.#list();
      const others = epochs.filter((other) => other !== claim);
      // Whoever claimed it meanwhile may have stored what this writer does not know of.
      if (epochs.at(-1) !== claim || others.at(-1) !== expect) throw new StoreFault("fenced");
      this.#own = claim;
      this.#begun = 0;
    });
  }

  /** Lets go of what this store appends to. */
  async #leave(): Promise<void> {
    const segment = this.#segment;
    this.#segment = undefined;
    if (segment) await system.close(segment.file);
    await this.#readers.close();
  }

  /** Another may have claimed the folder: what was not confirmed before that is not any more. */
  async #check(): Promise<Listing> {
    let listing: Listing;
    try {
      listing = await this.#list();
    } catch (error) {
      throw new StoreFault("lost", error);
    }
    if (listing.epoch !== this.#own) throw new StoreFault("fenced");
    return listing;
  }

  /** The segment that is appended to: begun from what is live, once the folder is claimed. */
  async #begin(): Promise<Segment> {
    if (this.#segment) return this.#segment;
    const listing = await this.#check();
    const { doubtful } = await this.#load(listing);
    const copied: Put[] = [];
    for (const key of doubtful) {
      const bytes = await this.#value(key);
      if (bytes) copied.push({ key, bytes });
    }
    let segment: Segment;
    try {
      segment = await this.#create(copied);
    } catch (error) {
      const full = error instanceof StoreFault && error.fault === "quota";
      if (!full || !this.#view.reserve) throw error;
      // A full disk must not keep anyone from making room on it.
      await this.#giveReserve();
      segment = await this.#create(copied);
    }
    this.#segment = segment;
    await this.#clean(await this.#check());
    return segment;
  }

  /** Makes the next segment: what is live, and copies in place of some of it. */
  async #create(copied: readonly Put[] = []): Promise<Segment> {
    const name = segmentName(this.#own as string, this.#begun);
    const salt = saltOf(name);
    const live = this.#view.encode();
    const at = headBytes(live.length);
    const { bytes, entries } = encodeChange(salt, at, 0, copied, []);
    const first = encodeBlock(salt, KIND.snapshot, at + bytes.length, live, []);
    const segment = await Segment.create(this.#folder, name, [first, bytes]);
    this.#begun += 1;
    this.#view.apply(name, entries);
    return segment;
  }

  /** Removes what earlier epochs have left. Nothing in it is live. */
  async #clean({ claims, segments, unfinished }: Listing): Promise<void> {
    const own = this.#own as string;
    const dead = segments.filter((name) => !this.#view.parts.get(name)?.keys.size);
    for (const name of [...claims, ...dead, ...unfinished])
      if (epochOf(name) < own) await this.#remove(name);
  }

  async #remove(name: string): Promise<void> {
    try {
      await this.#readers.drop(name);
      await system.remove(join(this.#folder, name));
    } catch (error) {
      // It takes room, and does no harm.
      this.note(error);
    }
  }

  async #append(segment: Segment, puts: readonly Put[], deletes: readonly Key[]) {
    if (!puts.length && !deletes.length) return [];
    const { salt, end, synced } = segment;
    const { bytes, entries } = encodeChange(salt, end, synced, puts, deletes);
    await segment.append(bytes);
    return entries;
  }

  async #manifest(): Promise<Uint8Array | undefined> {
    if (!this.#view.places.has(MANIFEST)) return undefined;
    return (await this.#value(MANIFEST)) ?? DAMAGED;
  }

  async #value(key: Key): Promise<Uint8Array | undefined> {
    const place = this.#view.places.get(key);
    if (!place) return undefined;
    const { segment, offset, length } = place;
    const current = this.#segment?.name === segment.name ? this.#segment.file : undefined;
    const bytes = await (current === undefined
      ? this.#readers.read(segment.name, offset, length)
      : system.read(current, offset, length));
    return bytes.length === length ? bytes : undefined;
  }

  async #keepReserve(puts: readonly Put[]): Promise<void> {
    const reserve = puts.find(({ key }) => key === PLACEHOLDER);
    if (!reserve) return;
    const path = join(this.#folder, RESERVE);
    try {
      await system.remove(path + UNFINISHED_SUFFIX);
      const file = await system.open(path + UNFINISHED_SUFFIX, "wx+");
      try {
        await system.write(file, reserve.bytes, 0);
        await system.sync(file);
      } finally {
        await system.close(file);
      }
      await system.rename(path + UNFINISHED_SUFFIX, path);
    } catch (error) {
      await system.remove(path + UNFINISHED_SUFFIX).catch(this.note);
      throw new StoreFault(system.isFull(error) ? "quota" : "aborted", error);
    }
    this.#view.reserve = true;
  }

  /** In a file of its own, so that the room is there at once. */
  async #giveReserve(): Promise<void> {
    await system.remove(join(this.#folder, RESERVE));
    this.#view.reserve = false;
  }

  /** Goes on in a new segment. Without room for one it goes on in the old one. */
  async #turn(before: Segment): Promise<void> {
    // What the new one says is live must not be lost behind it.
    await before.sync();
    this.#view.part(before.name).size_bytes = before.end;
    try {
      this.#segment = await this.#create();
    } catch (error) {
      if (error instanceof StoreFault && error.fault === "lost") throw error;
      this.#patience_bytes = before.end + SEGMENT_BYTES / SEGMENT_SNAPSHOTS;
      return this.note(error);
    }
    await this.#readers.take(before.name, before.file);
  }

  #parts(): Part[] {
    return Array.from(this.#view.parts.values()).filter(({ name }) => name !== this.#segment?.name);
  }

  /** Copies what is live out of a segment that is mostly dead, the one with least to copy. */
  async #copySparse(): Promise<void> {
    const sparse = this.#parts().filter(
      ({ keys, live_bytes, size_bytes }) => keys.size && live_bytes * 2 < size_bytes,
    );
    const [least] = sparse.sort((one, other) => one.live_bytes - other.live_bytes);
    const segment = this.#segment;
    if (!least || !segment) return;
    while (least.keys.size) {
      const puts: Put[] = [];
      let bytes = 0;
      for (const key of least.keys) {
        const value = await this.#value(key);
        // It is missing, which is told when it is asked for.
        if (!value) return;
        puts.push({ key, bytes: value });
        bytes += value.length;
        if (bytes >= COPY_BYTES) break;
      }
      try {
        this.#view.apply(segment.name, await this.#append(segment, puts, []));
      } catch (error) {
        if (error instanceof StoreFault && error.fault === "lost") throw error;
        return this.note(error);
      }
    }
  }

  /** Removes the segments in which nothing is live, once the disk and every other writer know. */
  async #removeDead(): Promise<void> {
    const dead = this.#parts().filter(({ keys }) => !keys.size);
    if (!dead.length) return;
    await this.#segment?.sync();
    await this.#check();
    for (const { name } of dead) {
      this.#view.parts.delete(name);
      await this.#remove(name);
    }
  }
}
