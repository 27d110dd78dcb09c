import type { QueueClient } from "../queue.js";
import type { Home, Wait } from "../types.js";

/**
 * A reference to a queue that is on the device until it is deleted there: each verb goes to where
 * it lives by then. What a verb gave before stays with the home that it came from. `settled`
 * resolves once it is known which names a deletion has freed.
 */
export function keptQueue(
  homeOf: () => Home,
  at: (home: Home) => QueueClient,
  settled: () => Promise<void>,
): QueueClient {
  const references = new Map<Home, QueueClient>();
  const current = () => {
    const home = homeOf();
    const queue = references.get(home) ?? at(home);
    references.set(home, queue);
    return queue as unknown as Record<PropertyKey, unknown>;
  };
  // What is wrong with its options is told now.
  current();
  const thenSettle = async (queue: Record<PropertyKey, unknown>, wait?: Wait) => {
    const count = await (queue as unknown as QueueClient).delete(wait);
    await settled();
    return count;
  };
  return new Proxy(Object.create(null) as QueueClient, {
    get(_, key) {
      const queue = current();
      const value = queue[key];
      if (key === "delete") return (wait?: Wait) => thenSettle(queue, wait);
      return typeof value === "function" ? (value.bind(queue) as unknown) : value;
    },
    set: () => false,
  });
}
