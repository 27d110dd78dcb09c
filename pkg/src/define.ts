import { connect, createBus } from "./connect.js";
import type { Job } from "./schema.js";
import type { Bus, ConnectOptions, QueueOptions } from "./types.js";

/** A queue in a `defineBus`: its types, and the options that `bus.queue` uses by itself. */
export interface QueueDefinition<Body, Result> {
  readonly options: QueueOptions;
  /** Only a type: there is no value. */
  readonly job?: Job<Body, Result>;
}

export interface Definition {
  readonly queues?: Readonly<Record<string, { readonly options: QueueOptions }>>;
}

type SchemaOf<D extends Definition> = {
  queues: {
    [Q in keyof D["queues"]]: D["queues"][Q] extends QueueDefinition<infer Body, infer Result>
      ? Job<Body, Result>
      : never;
  };
};

export interface DefinedBus<D extends Definition> {
  createBus(name: string, options?: ConnectOptions): Bus<SchemaOf<D>>;
  connect(name: string, options?: ConnectOptions): Promise<Bus<SchemaOf<D>>>;
}

/** Types and options of a bus in one module, for every tab that uses it. */
export function defineBus<const D extends Definition>(definition: D): DefinedBus<D> {
  return {
    createBus: (name, options) => createBus(name, options, definition),
    connect: (name, options) => connect(name, options, definition),
  };
}

/** A queue of `defineBus`. */
export function queue<Body, Result = unknown>(
  options: QueueOptions = {},
): QueueDefinition<Body, Result> {
  return { options };
}
