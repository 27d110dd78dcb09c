import type { Ledger } from "./ledger";
import { JOB_QUEUE, type PlaygroundBus } from "./schema";

/** A batch is stored as a whole, so it has a bound; more are sent one after another. */
const BATCH_MAX = 500;

/** Sends jobs with ids of our own, and notes those that were confirmed. */
export async function sendJobs(
  bus: PlaygroundBus, ledger: Ledger, body: unknown, count: number, delay_ms: number,
): Promise<void> {
  const queue = bus.queue("jobs", JOB_QUEUE);
  const run = Math.floor(Math.random() * 36 ** 5).toString(36).padStart(5, "0");
  for (let first = 1; first <= count; first += BATCH_MAX) {
    const length = Math.min(BATCH_MAX, count - first + 1);
    const ids = Array.from({ length }, (_, index) => `${run}-${first + index}`);
    const delay = delay_ms ? { delay: delay_ms } : {};
    await queue.sendBatch(ids.map((id) => ({ id, body, ...delay })));
    await ledger.addSent(ids);
  }
}
