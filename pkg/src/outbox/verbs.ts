import type { Context } from "../context.js";
import { attempt } from "../pending.js";
import type { Outbox } from "../types.js";

/** The outbox of a realm as one `Bus` sees it. */
export function outboxOf(context: Context): Outbox {
  const { engine } = context,
    { outbox } = engine;
  const start = () => {
    context.check();
    engine.start();
  };
  const verb = <T>(run: () => Promise<T>) =>
    attempt(() => {
      start();
      return run();
    });
  return {
    ...outbox.counts.watch(start),
    entries: () => verb(() => outbox.entries()),
    retry: (id) => verb(() => outbox.retry(id)),
    discard: (id) => verb(() => outbox.discard(id)),
    redirect: () => verb(() => outbox.home.redirect()),
    discardOthers: () => verb(() => outbox.discardOthers()),
  };
}
