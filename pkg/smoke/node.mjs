// Fresh Node applications with the tarball, installed with no network: one that uses everything,
// and the example, whose queue outlives its processes.
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

const main = readFileSync(new URL("../../examples/node/main.js", import.meta.url), "utf8");
const example = freshApp("example", tarball, { "main.js": main });
const run = (...words) =>
  execFileSync(process.execPath, ["main.js", ...words], {
    cwd: example,
    encoding: "utf8",
    timeout: 60_000,
  });
assert.equal(run("add", "tea", "milk"), "2 stored\n");
assert.equal(run(), "tea, attempt 1\nmilk, attempt 1\n");
assert.equal(run(), "");
console.log("2 passed, 0 failed");
