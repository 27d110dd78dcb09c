// The example of README.md, as it stands there.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { transform } from "esbuild";

import { checkTypes } from "./compiler.mjs";
import { runScript } from "./helpers.mjs";

const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const EXAMPLE = README.match(/<!-- example: run by [^\n]*\n```ts\n(.*?)```/s)[1];

test("the example of the README prints what it says", async () => {
  const { code } = await transform(EXAMPLE, { loader: "ts" });
  const lines = runScript(`${code}\nawait bus.close({ drain: true });`).trim().split("\n");
  assert.deepEqual(lines.toSorted(), ["5", "cart.changed 3", "stored photo.jpg"]);
});

test("the example of the README is right by its types", (t) => {
  const folder = mkdtempSync(join(import.meta.dirname, "readme-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "example.ts"), EXAMPLE);
  checkTypes([join(folder, "example.ts")]);
});
