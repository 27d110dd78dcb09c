import type { BusClient } from "../bus.js";
import type { LiveSubscription } from "../subscription.js";
import { EVENT, type HandleEvent } from "../raw.js";
import type { Home, SubscribeOptions, Wait } from "../types.js";
import { SYSTEM } from "./filters.js";
import type { Homes } from "./homes.js";

type Handler = (message: never) => unknown;

/**
 * Hears the topics of both homes: one subscription is the user's, and another one gives it what
 * comes from the hub. Of a topic only its home is heard, though the other one may have it as well.
 */
export function subscribeBoth(
  { device, hub }: { readonly device: BusClient; readonly hub: BusClient },
  homes: Homes,
  filter: string,
  options?: SubscribeOptions | Handler,
  handler?: Handler,
): LiveSubscription {
  const { group } = typeof options === "object" ? options : {};
  if (group !== undefined)
    throw homes.mixed(`subscribe: group "${group}" would share topics of two homes`, filter);
  const own = device.subscribe(filter, options as SubscribeOptions, handler);
  const feeder = hub.subscribe(homes.filterAtHub(filter));
  feeder.quiet = true;
  const take = own.take.bind(own);
  const ready = { device: own.ready.bind(own), hub: feeder.ready.bind(feeder) };
  const belongs = (event: HandleEvent, home: Home) =>
    event[0] !== EVENT.live || event[4].split(".", 1)[0] === SYSTEM || homes.of(event[4]) === home;
  const takeAtHub = feeder.take.bind(feeder);
  own.take = (event) => {
    if (belongs(event, "device")) take(event);
  };
  feeder.take = (event) => {
    if (event[0] === EVENT.subscribed) takeAtHub(event);
    else if (belongs(event, "hub")) take(event);
  };
  own.ready = (wait?: Wait) =>
    Promise.all([ready.device(wait), ready.hub(wait)]).then(() => undefined);
  own.closed.addEventListener("abort", () => feeder.close());
  feeder.closed.addEventListener("abort", () => own.fail(feeder.closed.reason));
  return own;
}
