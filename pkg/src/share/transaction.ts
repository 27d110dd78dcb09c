import type { BusClient } from "../bus.js";
import type { LeasedDelivery } from "../delivery.js";
import type { StagedTransaction, Staging } from "../transaction.js";
import type { Delivery, Home } from "../types.js";
import type { Homes } from "./homes.js";
import type { Kit } from "./kit.js";

type Clients = Readonly<Record<Home, BusClient>>;

/** A transaction at the home of what is staged first. */
export class HomedTransaction implements Staging {
  readonly #kit: Kit;
  readonly #homes: Homes;
  readonly #clients: Clients;
  #staged: StagedTransaction | undefined;
  #sealed = false;

  constructor(kit: Kit, homes: Homes, clients: Clients) {
    this.#kit = kit;
    this.#homes = homes;
    this.#clients = clients;
  }

  get isEmpty(): boolean {
    return this.#staged?.isEmpty ?? true;
  }

  set sealed(sealed: boolean) {
    this.#sealed = sealed;
    if (this.#staged) this.#staged.sealed = sealed;
  }

  queue(name: string): never {
    // A name alone stages nothing, but whoever gives it is about to.
    return this.#at(this.#homes.ofQueue(name)).queue(name) as never;
  }

  ack(delivery: Delivery<unknown>, value?: unknown): void {
    const { engine } = delivery as unknown as Partial<LeasedDelivery>;
    const home = engine === this.#clients.hub.engine ? "hub" : "device";
    // It refuses what is of neither.
    this.#at(home).ack(delivery, value);
  }

  async commit(...how: Parameters<Staging["commit"]>): Promise<void> {
    await this.#staged?.commit(...how);
  }

  #at(home: Home): StagedTransaction {
    if (!this.#staged) {
      this.#staged = new this.#kit.StagedTransaction(this.#clients[home]);
      this.#staged.sealed = this.#sealed;
    }
    return this.#staged;
  }
}
