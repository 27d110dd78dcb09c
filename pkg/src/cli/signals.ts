import process from "node:process";

/** What a shell says of a process that a signal ended. */
const CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** Runs `end` at the first signal. The next one ends the process. */
export function onSignal(end: () => void): void {
  let asked = false;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (asked) process.exit(CODES[name]);
      asked = true;
      end();
    });
  }
}
