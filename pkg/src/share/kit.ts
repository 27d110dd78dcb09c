import type { BusClient } from "../bus.js";
import type { Definition } from "../define.js";
import type { TabmqError } from "../errors.js";
import type { CheckedConnect } from "../options.js";
import type { StagedTransaction } from "../transaction.js";

/**
 * What the entry that loads this file gives it: there must be one of each in a realm, so a bundle
 * of its own can't bring them along.
 */
export interface Kit {
  join(name: string, options: CheckedConnect, definition?: Definition): BusClient;
  untilUsable(bus: BusClient): Promise<void>;
  readonly StagedTransaction: typeof StagedTransaction;
  readonly TabmqError: typeof TabmqError;
}
