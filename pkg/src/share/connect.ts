import type { BusClient } from "../bus.js";
import type { Definition } from "../define.js";
import type { CheckedConnect } from "../options.js";
import { SharedBus } from "./bus.js";
import { type Existing, Homes } from "./homes.js";
import type { Kit } from "./kit.js";

/**
 * A bus of two homes: one client on the device and one at the hub. It is there once the device has
 * told which queues it has, so that no verb has to ask where a name lives.
 */
export async function connectShared(
  kit: Kit,
  name: string,
  options: CheckedConnect,
  definition?: Definition,
): Promise<SharedBus> {
  const { hub, ...ofDevice } = options;
  const { storage: _, ...ofHub } = options;
  const homes = new Homes(kit, (hub as { share?: unknown }).share, options.limits ?? {});
  const joined: BusClient[] = [];
  const join = (checked: CheckedConnect) => {
    const client = kit.join(name, checked, definition);
    joined.push(client);
    return client;
  };
  try {
    const device = join(ofDevice);
    const there = join(ofHub);
    await Promise.all([device.ready(), kit.untilUsable(there)]);
    const queues = await queuesOf(device);
    homes.keep(queues);
    const kept = queues.map((queue) => queue.name).filter((queue) => homes.kept.has(queue));
    return new SharedBus(kit, homes, { device, hub: there }, kept);
  } catch (error) {
    for (const client of joined) void client.close();
    throw error;
  }
}

/** What the device has. */
export async function queuesOf(device: BusClient): Promise<Existing[]> {
  const found: Existing[] = [];
  for await (const queue of device.admin.list()) found.push(queue);
  return found;
}
