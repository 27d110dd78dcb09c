import type { BusClient } from "../bus.js";
import { isTabmqError } from "../errors.js";
import type {
  Admin,
  BrowseOptions,
  Home,
  ImportOptions,
  MoveOptions,
  Policy,
  PolicyOptions,
  QueueListing,
  QueueOptions,
  RedriveOptions,
  ServiceListing,
  Wait,
} from "../types.js";
import type { Homes } from "./homes.js";

/** Runs the queues of both homes: each where it lives. */
export class SharedAdmin implements Admin {
  readonly #homes: Homes;
  readonly #admins: Readonly<Record<Home, Admin>>;
  /** Resolves once it is known which names a deletion has freed. */
  readonly #settled: () => Promise<void>;

  constructor(
    homes: Homes,
    { device, hub }: Readonly<Record<Home, BusClient>>,
    settled: () => Promise<void>,
  ) {
    this.#homes = homes;
    this.#settled = settled;
    this.#admins = { device: device.admin, hub: hub.admin };
  }

  #of(queue: string): Admin {
    return this.#admins[this.#homes.ofQueue(queue)];
  }

  /** Of the hub only what lives there for this bus. */
  async *list(filter?: string, options?: Wait): AsyncGenerator<QueueListing> {
    const { device, hub } = this.#admins;
    const here = device.list(filter, options)[Symbol.asyncIterator]();
    const asked = typeof filter !== "string" || this.#homes.mayListHub(filter);
    const there = (asked ? hub.list(filter, options) : none())[Symbol.asyncIterator]();
    let [first, second] = await Promise.all([here.next(), there.next()]);
    while (!first.done || !second.done) {
      if (!second.done && this.#homes.ofQueue(second.value.name) === "device") {
        second = await there.next();
      } else if (second.done || (!first.done && first.value.name <= second.value.name)) {
        yield first.value as QueueListing;
        first = await here.next();
      } else {
        yield second.value;
        second = await there.next();
      }
    }
  }

  /** Those of the device, then those of the hub that live there for this bus. */
  async *services(options?: Wait): AsyncGenerator<ServiceListing> {
    const { device, hub } = this.#admins;
    yield* device.services(options);
    for await (const service of hub.services(options))
      if (this.#homes.of(service.name) === "hub") yield service;
  }

  declare(queue: string, options?: QueueOptions, wait?: Wait) {
    return this.#of(queue).declare(queue, options, wait);
  }

  info(queue: string, options?: Wait) {
    return this.#of(queue).info(queue, options);
  }

  stats(queue: string) {
    return this.#of(queue).stats(queue);
  }

  peek(queue: string, options?: BrowseOptions) {
    return this.#of(queue).peek(queue, options) as AsyncIterable<never>;
  }

  move(from: string, to: string, options?: MoveOptions) {
    return this.#of(from).move(from, to, options);
  }

  deleteMessage(queue: string, message: string | number, options?: Wait) {
    return this.#of(queue).deleteMessage(queue, message, options);
  }

  purge(queue: string, options?: Wait) {
    return this.#of(queue).purge(queue, options);
  }

  redrive(queue: string, options?: RedriveOptions) {
    return this.#of(queue).redrive(queue, options);
  }

  pause(queue: string, options?: Parameters<Admin["pause"]>[1]) {
    return this.#of(queue).pause(queue, options);
  }

  resume(queue: string, options?: Wait) {
    return this.#of(queue).resume(queue, options);
  }

  async delete(queue: string, options?: Parameters<Admin["delete"]>[1]): Promise<number> {
    const count = await this.#of(queue).delete(queue, options);
    await this.#settled();
    return count;
  }

  async policy(
    name: string,
    pattern: string,
    options: PolicyOptions,
    more?: Wait & { priority?: number },
  ): Promise<number> {
    const home = typeof pattern === "string" ? this.#homeOfPattern(pattern) : "device";
    if (home === "both")
      throw this.#homes.mixed(`policy: "${pattern}" fits queues of two homes`, pattern);
    return this.#admins[home].policy(name, pattern, options, more);
  }

  /** Each home has policies of its own, and a name may be at both. */
  async removePolicy(name: string, options?: Wait): Promise<void> {
    const { device, hub } = this.#admins;
    const here = (await device.policies(options)).some((policy) => policy.name === name);
    await (here ? device : hub).removePolicy(name, options);
  }

  async policies(options?: Wait): Promise<readonly Policy[]> {
    const { device, hub } = this.#admins;
    return (await Promise.all([device.policies(options), hub.policies(options)])).flat();
  }

  trace(queue: string, on: boolean, options?: Wait) {
    return this.#of(queue).trace(queue, on, options);
  }

  export(queue: string, options?: Wait) {
    return this.#of(queue).export(queue, options);
  }

  import(file: Blob, options?: ImportOptions): Promise<number> {
    const { device, hub } = this.#admins;
    // The file says which queue it is of, and nothing is done at a home that is not its.
    return device.import(file, options).catch((error: unknown) => {
      if (!isTabmqError(error, "MIXED_HOMES")) throw error;
      return hub.import(file, options);
    });
  }

  kill(): void {
    for (const admin of Object.values(this.#admins)) admin.kill();
  }

  killHost(): void {
    this.#admins.device.killHost();
  }

  frames(): readonly string[] {
    return [...this.#admins.device.frames(), ...this.#admins.hub.frames()];
  }

  #homeOfPattern(pattern: string): Home | "both" {
    const exact = !pattern.split(".").some((word) => word === "*" || word === "#");
    return exact ? this.#homes.ofQueue(pattern) : this.#homes.ofFilter(pattern);
  }
}

async function* none(): AsyncGenerator<QueueListing> {}
