// Ends the browsers of one run and deletes their profiles once its owner is gone.
// The owner holds our standard input open. The kernel closes that pipe however the owner
// ends, SIGKILL included, so this one path serves success, failure, panic and SIGINT.
import { rmSync, rmdirSync } from "node:fs";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { findProcess, hasEnvironment, listProcesses, signal, until } from "./processes.mjs";

const [marker, value, profiles, scratch] = process.argv.slice(2);
const groups = new Map();

// A terminal sends SIGINT to everyone; the browsers outlive us if we obey it.
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => {});

/** A group's number can be given out again only after its last member has gone. */
function isOurGroup(group) {
  if (!groups.has(group)) return false;
  const leader = findProcess(group);
  return leader === undefined || leader.started_ticks === groups.get(group);
}

function remaining() {
  return listProcesses().filter(
    ({ pid, group }) =>
      pid !== process.pid && (isOurGroup(group) || hasEnvironment(pid, marker, value)),
  );
}

async function reap() {
  // Repeated because a dying browser may still start a helper.
  await until(
    () => {
      const alive = remaining();
      for (const { pid } of alive) signal(pid, "SIGKILL");
      return alive.length === 0;
    },
    20_000,
    "every browser process ended",
  );
  rmSync(profiles, { recursive: true, force: true, maxRetries: 3 });
  rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  try {
    rmdirSync(dirname(profiles));
  } catch {
    // Another run with the same id still has profiles there.
  }
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [group, started_ticks] = line.split(" ").map(Number);
    groups.set(group, started_ticks);
  })
  .on("close", () => {
    reap().then(
      () => process.exit(0),
      (error) => {
        console.error(String(error));
        process.exit(1);
      },
    );
  });
