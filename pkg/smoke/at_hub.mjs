// The application that uses everything, as a client of a hub in this process.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { createHub, serveHub } from "../dist/hub.js";

/** A module of the fresh application, beside `app.js`. */
export const AT_HUB = `import { useEverything } from "./app.js";
  const hub = process.argv.at(-1);
  console.log(JSON.stringify(await useEverything({ hub })));
  process.exit(0);`;

/** Runs `at-hub.js` of the application with this program. */
export async function useEverythingAtHub(program, flags, app) {
  const hub = createHub();
  const served = await serveHub({ hub });
  const own = await hub.bus("smoke");
  const heard = [];
  own.subscribe("cart.*", ({ body }) => heard.push(body.items));
  const run = promisify(execFile);
  const words = [...flags, "at-hub.js", served.url];
  const { stdout } = await run(program, words, { cwd: app, timeout: 60_000 });
  await served.close();
  const { lines, failures, count, storage, kind } = JSON.parse(stdout);
  assert.deepEqual(lines, ["heard 3", "processed photo.jpg", "called 5"]);
  assert.deepEqual([failures, heard], [[], [3]]);
  assert.ok(count > 30);
  assert.deepEqual([storage, kind], ["memory", "hub"]);
}
