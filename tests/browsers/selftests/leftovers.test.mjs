// The harness itself: nothing is left of a run, however it ends.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { listProcesses, signal, until } from "../lib/processes.mjs";
import { Run } from "../lib/run.mjs";
import { test } from "../lib/runner.mjs";

const DOOMED = fileURLToPath(new URL("../fixtures/doomed.mjs", import.meta.url));
const GONE_MS = 60_000;

/** Starts a run that is to end badly; resolves once its browser is up. */
async function startDoomed(engine, ending) {
  const child = spawn(process.execPath, [DOOMED, engine, ending], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("exit", (code, by) => resolve(by ?? code)));
  let complaint = "";
  child.stderr.on("data", (text) => (complaint += text));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value } = await lines.next();
  if (value === undefined) {
    assert.fail(`the doomed run ended with ${await ended} before it began: ${complaint}`);
  }
  return { child, ended, ...JSON.parse(value) };
}

const ENDINGS = [
  { how: "success", ending: "return", by: null, ends_with: 0 },
  { how: "an uncaught error", ending: "throw", by: null, ends_with: 1 },
  { how: "SIGINT", ending: "wait", by: "SIGINT", ends_with: "SIGINT" },
  { how: "SIGKILL", ending: "wait", by: "SIGKILL", ends_with: "SIGKILL" },
];

for (const { how, ending, by, ends_with } of ENDINGS) {
  test(`no process and no profile is left after ${how}`, async (t) => {
    const { child, ended, profiles, scratch, pid } = await startDoomed(t.engine, ending);
    assert.ok(existsSync(profiles));
    if (by !== null) signal(child.pid, by);
    assert.equal(await ended, ends_with);
    const started = performance.now();
    const groupMembers = () => listProcesses().filter(({ group }) => group === pid);
    await until(() => groupMembers().length === 0, GONE_MS, "the browser's processes ended");
    await until(() => !existsSync(profiles), GONE_MS, "its profiles were deleted");
    await until(() => !existsSync(scratch), GONE_MS, "its scratch folder was deleted");
    t.measure("gone_after_ms", performance.now() - started);
  });
}

test("a process and a folder left behind are reported", async (t) => {
  const run = new Run();
  const stray = spawn("sleep", ["60"], { env: run.environment(), detached: true, stdio: "ignore" });
  t.cleanup(() => signal(stray.pid, "SIGKILL"));
  const reported = () => run.leftovers().some((line) => line.startsWith(`process ${stray.pid} `));
  await until(reported, 5_000, "the stray process is reported");
  assert.ok(run.leftovers().some((line) => line === `folder ${run.profiles}`));
  await run.finish();
  assert.deepEqual(run.leftovers(), []);
});
