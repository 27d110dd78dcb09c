// Looks at the tarball as its users get it: what is in it, its package.json, its types.
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { publint } from "publint";
import { formatMessage } from "publint/utils";

import { PACKAGE, pack } from "./pack.mjs";

const WANTED = [
  "LICENSE",
  "LICENSE-APACHE",
  "LICENSE-MIT",
  "README.md",
  "package.json",
  "dist/THIRD_PARTY.md",
  "dist/browser.js",
  "dist/cli.js",
  "dist/cloudflare.js",
  "dist/hub.js",
  "dist/idb.js",
  "dist/hub.js",
  "dist/node.js",
  "dist/share.js",
  "dist/sim-node.js",
  "dist/sim-pages.js",
  "dist/sim.js",
  "dist/tabmq-edge.wasm",
  "dist/tabmq-sim.wasm",
  "dist/tabmq.wasm",
  "dist/worker.js",
  "dist/workerd.js",
];

const problems = [];
const { tarball, files } = pack();

const others = files.filter(
  (file) => !WANTED.includes(file) && !/^dist\/types\/.*\.d\.ts$/.test(file),
);
const missing = WANTED.filter((file) => !files.includes(file));
if (others.length) problems.push(`the tarball holds more than it should: ${others.join(", ")}`);
if (missing.length) problems.push(`the tarball lacks ${missing.join(", ")}`);

const { messages, pkg } = await publint({ pkgDir: PACKAGE, level: "suggestion", strict: true });
problems.push(...messages.map((message) => `publint: ${formatMessage(message, pkg)}`));

try {
  const attw = createRequire(import.meta.url).resolve("@arethetypeswrong/cli/package.json");
  // The wasm files and the script of the worker have no types, and there is no CommonJS.
  const typeless = ["./tabmq.wasm", "./tabmq-edge.wasm", "./tabmq-sim.wasm", "./worker.js"];
  const parameters = [tarball, "--profile", "esm-only", "--exclude-entrypoints", ...typeless];
  execFileSync(
    process.execPath,
    [join(dirname(attw), "dist/index.js"), ...parameters, "--no-emoji"],
    {
      encoding: "utf8",
      stdio: "pipe",
    },
  );
} catch (error) {
  problems.push(`attw: ${error.stdout || error.message}`);
}

for (const problem of problems) console.log(problem);
console.log(`${files.length} files in the tarball`);
console.log(problems.length ? `0 passed, ${problems.length} failed` : "3 passed, 0 failed");
process.exitCode = problems.length ? 1 : 0;
