// The harness itself: what a page looks like, for tests of its layout.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "../lib/runner.mjs";

const colorScheme = () => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

for (const viewport of [{ width: 1280, height: 800 }, { width: 390, height: 844 }]) {
  const { width, height } = viewport;
  test(`a viewport of ${width} by ${height} and its screenshot`, async (t) => {
    const tab = await t.openTab("/blank.html", { viewport });
    const size = await tab.evaluate(() => ({ width: innerWidth, height: innerHeight }));
    assert.deepEqual(size, viewport);
    const path = join(t.run.screenshots, `selftest-${t.engine}-${width}.png`);
    await tab.screenshot(path);
    // Width and height stand at fixed places of a PNG file.
    const image = readFileSync(path);
    assert.deepEqual([image.readUInt32BE(16), image.readUInt32BE(20)], [width, height]);
  });
}

for (const color_scheme of ["light", "dark"]) {
  test(`pages see a ${color_scheme} color scheme`, { browser: { color_scheme } }, async (t) => {
    const tab = await t.openTab();
    assert.equal(await tab.evaluate(colorScheme), color_scheme);
  });
}
