import { RemoteError } from "virtual:main";

import { COMMON, open, patience } from "./connection.js";
import { parseJson, standardInput } from "./input.js";
import { printJson, printLine, readable } from "./print.js";
import { showProgress } from "./progress.js";
import { onSignal } from "./signals.js";
import { FailedError, parse } from "./words.js";

const CALL = { ...COMMON, traceparent: "text" } as const;

/** Calls a method and prints what it returned. Rejects with what it threw. */
export async function call(words: readonly string[]): Promise<void> {
  const { options, operands } = parse(words, CALL, [3, Infinity]);
  const [name = "", service = "", method = "", ...given] = operands;
  const parameters = await Promise.all(
    given.map(async (text, index) => {
      const json = text === "-" ? await standardInput() : text;
      return parseJson(json, `Argument ${index + 1}`);
    }),
  );
  const { traceparent } = options;
  await using bus = await open(name, options);
  const started = performance.now();
  const seconds = () => Math.round((performance.now() - started) / 1000);
  using _ = showProgress(() => `waits for ${seconds()} s`, options.progress);
  const calling = bus.call(service, method, parameters, {
    ...patience(options),
    ...(traceparent !== undefined && { traceparent }),
  });
  onSignal(() => calling.cancel());
  const result = await calling.catch((error: unknown) => {
    throw error instanceof RemoteError ? thrown(error) : error;
  });
  if (options.json) printJson({ result });
  else if (result !== undefined) printLine(readable(result));
}

/** What a service threw, by its name and code. */
function thrown({ name, code, message }: InstanceType<typeof RemoteError>): FailedError {
  const known = typeof code === "string" || typeof code === "number";
  return new FailedError(`${name}${known ? ` (${code})` : ""}: ${message}`);
}
