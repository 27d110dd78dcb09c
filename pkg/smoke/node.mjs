// A fresh Node application with the tarball, installed with no network.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

import { freshApp, pack } from "./pack.mjs";

const { tarball } = pack();
const app = freshApp("node", tarball, {
  "app.js": readFileSync(new URL("app.js", import.meta.url), "utf8"),
  "value-cases.js": readFileSync(new URL("../test/value-cases.mjs", import.meta.url), "utf8"),
  "main.js": `import { useEverything } from "./app.js";
    console.log(JSON.stringify(await useEverything()));`,
});
const output = execFileSync(process.execPath, ["main.js"], {
  cwd: app,
  encoding: "utf8",
  timeout: 60_000,
});
const { lines, failures, count, storage, durability } = JSON.parse(output);
assert.deepEqual(lines, ["heard 3", "processed photo.jpg", "called 5"]);
assert.deepEqual(failures, []);
assert.ok(count > 30);
assert.equal(storage, "memory");
assert.equal(durability, "memory");
console.log("1 passed, 0 failed");
