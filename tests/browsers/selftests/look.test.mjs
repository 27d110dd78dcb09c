// The harness itself: what a page looks like, for tests of its layout.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "../lib/runner.mjs";

const colorScheme = () => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

test("viewport and screenshot have the size asked for", async (t) => {
  const tab = await t.openTab();
  for (const [width, height] of [[1280, 800], [390, 844]]) {
    await tab.setViewport({ width, height });
    await tab.waitFor((...wanted) => innerWidth === wanted[0] && innerHeight === wanted[1], {
      args: [width, height],
    });
    const path = join(t.run.screenshots, `selftest-${t.engine}-${width}.png`);
    await tab.screenshot(path);
    // Width and height stand at fixed places of a PNG file.
    const image = readFileSync(path);
    assert.deepEqual([image.readUInt32BE(16), image.readUInt32BE(20)], [width, height]);
  }
});

for (const color_scheme of ["light", "dark"]) {
  test(`pages see a ${color_scheme} color scheme`, { browser: { color_scheme } }, async (t) => {
    const tab = await t.openTab();
    assert.equal(await tab.evaluate(colorScheme), color_scheme);
  });
}
