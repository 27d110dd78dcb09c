// A fresh Vite application with the tarball: in development, and built and served under the strict
// policy of docs/csp.md. Chromium runs it.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";

import puppeteer from "puppeteer-core";
import { build, createServer, preview } from "vite";

import { freshApp, pack, temporaryFolder } from "./pack.mjs";

const POLICY = readFileSync(new URL("../../docs/csp.md", import.meta.url), "utf8").match(
  /^Content-Security-Policy: (.*)$/m,
)[1];

const { tarball } = pack();
const app = freshApp("vite", tarball, {
  "index.html": `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>smoke</title>
    <link rel="icon" href="data:,"></head>
    <body><script type="module" src="/main.js"></script></body></html>`,
  "main.js": `import { useEverything } from "./app.js";
    window.result = await useEverything().catch((error) => ({ lines: [error.stack] }));`,
  "app.js": readFileSync(new URL("app.js", import.meta.url), "utf8"),
  "value-cases.js": readFileSync(new URL("../test/value-cases.mjs", import.meta.url), "utf8"),
});
const options = { root: app, configFile: false, logLevel: "warn", clearScreen: false };
const address = { host: "127.0.0.1", port: 0 };

const browser = await puppeteer.launch({
  executablePath: chromium(),
  userDataDir: temporaryFolder("profile"),
  args: ["--no-sandbox", "--disable-gpu", "--disable-component-update"],
});
try {
  const server = await createServer({ ...options, server: address });
  await server.listen();
  await visit("development", server.resolvedUrls.local[0]);
  await server.close();

  await build(options);
  const headers = { "Content-Security-Policy": `default-src 'none'; img-src data:; ${POLICY}` };
  const built = await preview({ ...options, preview: { ...address, headers } });
  await visit("build", built.resolvedUrls.local[0]);
  await built.close();
} finally {
  await browser.close();
}
console.log("2 passed, 0 failed");

async function visit(what, url) {
  const page = await browser.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!/^(?:http:\/\/127\.0\.0\.1:|data:|blob:)/.test(request.url()))
      complaints.push(request.url());
  });
  await page.goto(url);
  const handle = await page.waitForFunction("window.result", { timeout: 60_000 });
  const { lines, failures, count, storage, kind, durability } = await handle.jsonValue();
  assert.deepEqual(lines, ["heard 3", "processed photo.jpg", "called 5"], what);
  assert.deepEqual(failures, [], what);
  assert.ok(count > 30);
  assert.equal(storage, "indexeddb");
  assert.equal(kind, "shared-worker");
  assert.equal(durability, "relaxed");
  assert.deepEqual(complaints, [], what);
  console.log(`${what}: ${lines.join(", ")}, ${count} values`);
  await page.close();
}

function chromium() {
  for (const folder of process.env.PATH.split(delimiter)) {
    for (const name of ["chromium", "chromium-browser"]) {
      if (existsSync(join(folder, name))) return join(folder, name);
    }
  }
  throw new Error("chromium is not installed");
}
