// Ends the browsers before we end, when a signal ends us. SIGKILL is left to the reaper.

const CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

export function finishOnSignals(run) {
  for (const [name, code] of Object.entries(CODES)) {
    process.on(name, async () => {
      try {
        await run.finish();
      } catch (error) {
        console.error(error.message);
      }
      process.exit(code);
    });
  }
}
