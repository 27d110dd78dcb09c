// Runs the simulator beside the page, which stays alive. Whoever ends the worker ends the run.
import { isTabmqError, type SeedReport, type SimulationOptions, simulate } from "tabmq/sim";

export type SimulatorNews =
  | { readonly kind: "seed"; readonly report: SeedReport }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly text: string };

const tell = (news: SimulatorNews) => postMessage(news);

addEventListener("message", async ({ data }: MessageEvent<SimulationOptions>) => {
  try {
    await simulate({ ...data, onSeed: (report) => tell({ kind: "seed", report }) });
    tell({ kind: "done" });
  } catch (error) {
    const code = isTabmqError(error) ? `${error.code}: ` : "";
    tell({ kind: "failed", text: `${code}${error instanceof Error ? error.message : error}` });
  }
});
