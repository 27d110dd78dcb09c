import type { Outbox, OutboxCounts } from "../types.js";
import type { Watch } from "../watch.js";
import { isTabmqError } from "../errors.js";

/** One value of two. It is the same object until one of them changes. */
export function joined<A, B, T>(
  first: Watch<A>,
  second: Watch<B>,
  join: (a: A, b: B) => T,
): Watch<T> {
  let last: { readonly a: A; readonly b: B; readonly value: T } | undefined;
  const get = (): T => {
    const [a, b] = [first.get(), second.get()];
    if (!last || last.a !== a || last.b !== b) last = { a, b, value: join(a, b) };
    return last.value;
  };
  return {
    get,
    subscribe(run) {
      let told = get();
      const tell = () => {
        const value = get();
        if (value === told) return;
        told = value;
        run(value);
      };
      const leave = [first.subscribe(tell), second.subscribe(tell)];
      return () => leave.forEach((stop) => stop());
    },
  };
}

/** The outboxes of both homes as one. Their entries have ids of different clients. */
export function joinedOutbox(device: Outbox, hub: Outbox): Outbox {
  const sum = (a: OutboxCounts, b: OutboxCounts): OutboxCounts => ({
    accepted: a.accepted + b.accepted,
    sent: a.sent + b.sent,
    refused: a.refused + b.refused,
    inDoubt: a.inDoubt + b.inDoubt,
    quarantined: a.quarantined + b.quarantined,
  });
  const either = (verb: "retry" | "discard") => (id: string) =>
    device[verb](id).catch((error: unknown) => {
      if (!isTabmqError(error, "NOT_FOUND")) throw error;
      return hub[verb](id);
    });
  return {
    ...joined(device, hub, sum),
    entries: async () => (await Promise.all([device.entries(), hub.entries()])).flat(),
    retry: either("retry"),
    discard: either("discard"),
    redirect: () => hub.redirect(),
    discardOthers: async () => {
      const [here, there] = await Promise.all([device.discardOthers(), hub.discardOthers()]);
      return here + there;
    },
  };
}
