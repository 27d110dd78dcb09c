import type { Encoded, Engine } from "./engine.js";
import type { Interceptors } from "./interceptors.js";
import type { LiveHandle } from "./live.js";
import type { Posts } from "./posts.js";
import type { QueueClient } from "./queue.js";
import type { Codec } from "./types.js";

/** What the parts of one `Bus` share. */
export interface Context {
  readonly engine: Engine;
  /** What is closed with the bus. */
  readonly lives: Set<LiveHandle>;
  /** Queues that are watched, by name. */
  readonly watches: Map<string, object>;
  readonly codec: Codec;
  /** Throws `CLOSED` once the bus is closed. */
  check(): void;
  /** `engine.ask`, as long as the bus is open. */
  readonly ask: Engine["ask"];
  /** Encodes what a user gave, by the codec of the bus. `root` begins the path of a refusal. */
  encode(value: unknown, root: string): Encoded;
  /** A reference to a queue, as the bus knows it. */
  queue(name: string): QueueClient;
  readonly interceptors: Interceptors;
  readonly posts: Posts;
  /** On a bus of two homes: throws `MIXED_HOMES` for what lives at the other one. */
  readonly owns?: ((name: string, kind: "queue" | "topic") => void) | undefined;
  /** Raises the `error` event. */
  report(error: unknown): void;
}
