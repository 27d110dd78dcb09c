import type { Context } from "../context.js";
import { keepingOf } from "../keeping.js";
import { SendReceipt } from "../receipt.js";
import type { Durability, Receipt, SendOptions } from "../types.js";

/** How sends are confirmed once this device has written them down. */
export interface DeviceReceipts {
  /** The hub gives no id before it has the message. */
  newId(): string;
  one(id: string, track: boolean): (reached: Promise<void>) => Receipt;
  many(
    items: readonly { readonly id: string | undefined; readonly track: boolean }[],
  ): (reached: Promise<void>) => Receipt[];
}

/**
 * On a bus that is at a hub a send is confirmed when its device has written it down, however far
 * the hub is; unless more is asked for. What is written here is not written strictly, so that waits
 * for the hub.
 */
export function receiptsOfDevice(
  context: Context,
  queue: string,
  durability: Durability | undefined,
  confirm: SendOptions["confirm"],
): DeviceReceipts | undefined {
  const { engine } = context;
  const { options, outbox, events } = engine;
  if (!options.hub || (confirm !== undefined && confirm !== "device")) return undefined;
  if ((durability ?? options.durability) === "strict") return undefined;
  const make = (id: string, track: boolean, reached: Promise<void>) => {
    const { outlives } = outbox;
    const stored = {
      ...keepingOf(events.host.get()),
      at: "device",
      durability: outlives ? "relaxed" : "memory",
      persisted: outlives && events.persisted,
      evictable: outlives && !events.persisted,
      fenced: outlives,
    } as const;
    return new SendReceipt(context, queue, id, track, stored, undefined, reached);
  };
  return {
    newId: () => crypto.randomUUID(),
    one: (id, track) => (reached) => make(id, track, reached),
    many: (items) => (reached) =>
      items.map(({ id, track }) => make(id as string, track, reached)),
  };
}
