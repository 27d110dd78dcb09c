// Every example of docs/guide runs, prints what stands below it, and is right by its types.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { transform } from "esbuild";

import { checkTypes } from "./compiler.mjs";
import { runScript } from "./helpers.mjs";

const GUIDE = new URL("../../docs/guide/", import.meta.url);
const pages = readdirSync(GUIDE).filter((name) => name.endsWith(".md"));

/** Pairs of an example and what it prints. */
function examples(page) {
  const text = readFileSync(new URL(page, GUIDE), "utf8");
  const blocks = [...text.matchAll(/```(\w+)\n(.*?)```/gs)];
  const found = [];
  for (const [index, [, kind, body]] of blocks.entries()) {
    const [, next, output] = blocks[index + 1] ?? [];
    if (kind === "ts") found.push({ body, output: next === "text" ? output : undefined });
  }
  return found;
}

for (const page of pages) {
  test(`guide: the examples of ${page} print what stands below them`, async () => {
    for (const { body, output } of examples(page)) {
      assert.ok(output, `an example of ${page} does not say what it prints`);
      const { code } = await transform(body, { loader: "ts", target: "es2022", format: "esm" });
      assert.equal(runScript(code), output, body);
    }
  });
}

test("guide: the examples are right by their types", (t) => {
  const folder = mkdtempSync(join(import.meta.dirname, "guide-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const files = pages.flatMap((page) =>
    examples(page).map(({ body }, index) => {
      const file = join(folder, `${page}-${index}.ts`);
      writeFileSync(file, body);
      return file;
    }),
  );
  checkTypes(files);
});
