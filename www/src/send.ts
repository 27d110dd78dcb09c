import type { Receipt } from "tabmq";
import type { Ledger } from "./ledger";
import { JOB_QUEUE, type PlaygroundBus } from "./schema";

/** A batch is stored as a whole, so it has a bound; more are sent one after another. */
const BATCH_MAX = 500;

/**
 * Sends jobs with ids of our own, and notes those that were confirmed. Resolves with where the last
 * of them are.
 */
export async function sendJobs(
  bus: PlaygroundBus, ledger: Ledger, body: unknown, count: number, delay_ms: number,
): Promise<Receipt["stored"] | undefined> {
  const queue = bus.queue("jobs", JOB_QUEUE);
  const run = Math.floor(Math.random() * 36 ** 5).toString(36).padStart(5, "0");
  let stored: Receipt["stored"] | undefined;
  for (let first = 1; first <= count; first += BATCH_MAX) {
    const length = Math.min(BATCH_MAX, count - first + 1);
    const ids = Array.from({ length }, (_, index) => `${run}-${first + index}`);
    const delay = delay_ms ? { delay: delay_ms } : {};
    const receipts = await queue.sendBatch(ids.map((id) => ({ id, body, ...delay })));
    stored = receipts[0]?.stored;
    await ledger.addSent(ids);
  }
  return stored;
}
