import { BusClient } from "./bus.js";
import type { Definition } from "./define.js";
import { Engine } from "./engine.js";
import { invalid, TabmqError } from "./errors.js";
import { type CheckedConnect, checkConnect } from "./options.js";
import { DIAL, SOCKETS } from "./hub/symbol.js";
import { attempt } from "./pending.js";
import type { Schema } from "./schema.js";
import { StagedTransaction } from "./transaction.js";
import type { Bus, ConnectOptions } from "./types.js";

interface Entry {
  readonly engine: Engine;
  users: number;
}

/** The clients of this realm, by name and user. */
const entries = new Map<string, Entry>();
/** Those that are ending. The next one of the name waits, or it would find their locks taken. */
const ending = new Map<string, Promise<void>>();

/**
 * A bus that does nothing until its first use. The same name again in this realm shares one
 * client, which closes with its last user. Throws `INVALID` or `UNSUPPORTED` for an option.
 */
export function createBus<S extends Schema = Schema>(
  name: string,
  options?: ConnectOptions,
  definition?: Definition,
): Bus<S> {
  const checked = checkBus(name, options);
  if (checked.hub && "share" in checked.hub)
    throw invalid("createBus: with hub.share the homes must be known first, so use connect", "hub");
  return join(name, checked, definition) as unknown as Bus<S>;
}

/**
 * `createBus`, and `ready` of it. A bus that can't be reached is closed again. One whose hub is
 * away is no such bus: it works on this device meanwhile, and its status is `offline`.
 */
export function connect<S extends Schema = Schema>(
  name: string,
  options?: ConnectOptions,
  definition?: Definition,
): Promise<Bus<S>> {
  return attempt(async () => {
    const checked = checkBus(name, options);
    if (checked.hub && "share" in checked.hub) {
      const { connectShared } = await import("virtual:share");
      const kit = { join, untilUsable, StagedTransaction, TabmqError };
      return connectShared(kit, name, checked, definition) as Promise<unknown> as Promise<Bus<S>>;
    }
    const bus = join(name, checked, definition);
    try {
      await untilUsable(bus);
      return bus as unknown as Bus<S>;
    } catch (error) {
      void bus.close();
      throw error;
    }
  });
}

function checkBus(name: string, options: ConnectOptions | undefined): CheckedConnect {
  if (typeof name !== "string" || !name)
    throw invalid("the name of a bus must be a string that is not empty", "name");
  return checkConnect(options);
}

/** One more user of the client with these options. */
function join(name: string, checked: CheckedConnect, definition: Definition = {}): BusClient {
  if (checked[SOCKETS]?.parts || checked[DIAL]) {
    // What it has of its server ends with one request or object, which share a realm with others.
    return new BusClient(new Engine(name, checked, undefined), definition, () => true);
  }
  // Each hub of a process has buses of its own.
  const place = checked.hub ? "hub" : (checked[SOCKETS]?.hub ?? "device");
  const key = JSON.stringify([name, checked.user, place]);
  let entry = entries.get(key);
  if (entry && !entry.engine.over) same(entry.engine.options, checked, name);
  else entries.set(key, (entry = { engine: new Engine(name, checked, ending.get(key)), users: 0 }));
  return new BusClient(entry.engine, definition, share(key, entry));
}

/** Resolves once a node answers, or once it is known that the hub is away. */
function untilUsable(bus: BusClient): Promise<void> {
  if (!bus.engine.options.hub) return bus.ready();
  // Another user of the client has found out.
  if (bus.status.get() === "offline") return Promise.resolve();
  return new Promise((resolve, reject) => {
    const leave = bus.status.subscribe((status) => {
      // Later than a refusal that is told along with it.
      if (status === "offline") setTimeout(resolve);
    });
    bus.ready().then(resolve, reject).finally(leave);
  });
}

/** Counts a user. The answer uncounts it and tells whether it was the last. */
function share(key: string, entry: Entry): () => boolean {
  entry.users += 1;
  return () => {
    entry.users -= 1;
    if (entry.users) return false;
    if (entries.get(key) === entry) entries.delete(key);
    const { ended } = entry.engine;
    ending.set(key, ended);
    void forget(key, ended);
    return true;
  };
}

async function forget(key: string, ended: Promise<void>): Promise<void> {
  await ended;
  if (ending.get(key) === ended) ending.delete(key);
}

/** A second user may leave options out, but not ask for others. */
function same(has: CheckedConnect, wants: CheckedConnect, name: string): void {
  for (const option of ["storage", "durability", "host", "hub", "limits"] as const) {
    if (
      wants[option] !== undefined
      && JSON.stringify(wants[option]) !== JSON.stringify(has[option])
    ) {
      throw invalid(`bus "${name}" is open in this realm with another option "${option}"`, option);
    }
  }
  if (wants.codec && wants.codec.encode !== has.codec?.encode) {
    throw invalid(`bus "${name}" is open in this realm with another option "codec"`, "codec");
  }
}
