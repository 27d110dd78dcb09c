// Builds the application with Vite and prints, as JSON, what it ships: all of it, and each part.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { transform } from "esbuild";
import { build } from "vite";

const ROOT = fileURLToPath(new URL("app/", import.meta.url));
const TARGET = "es2022";

/** Parts of the JavaScript by the path of their modules; the first that fits counts. */
const PARTS = [
  { name: "glue", test: /^glue:/ },
  { name: "codec", test: /\bsrc\/codec\// },
  { name: "wrapper", test: /\bsrc\// },
  { name: "dependencies", test: /\bnode_modules\// },
];

/** The line by which the bundler of the package tells where a module begins. */
const MODULE = /^\/\/ (glue:\S+|\S+\.[cm]?[jt]s)$/;

async function buildApplication() {
  const { output } = await build({
    root: ROOT,
    configFile: false,
    logLevel: "warn",
    build: { write: false, target: TARGET, assetsInlineLimit: 0, modulePreload: false },
  });
  const files = output.filter(({ fileName }) => !fileName.endsWith(".html"));
  const content = (file) => Buffer.from(file.type === "chunk" ? file.code : file.source);
  return files.map((file) => ({
    name: file.fileName,
    // What a page loads only for a bus of two homes.
    later: file.type === "chunk" && file.isDynamicEntry,
    bytes: content(file),
  }));
}

/** Text of the package's bundle by part. */
function splitPackage() {
  const file = createRequire(import.meta.url).resolve("tabmq/package.json");
  const text = readFileSync(new URL("dist/browser.js", `file://${file}`), "utf8");
  const texts = new Map();
  let part;
  for (const line of text.split("\n")) {
    const path = MODULE.exec(line)?.[1];
    if (path !== undefined) part = PARTS.find(({ test }) => test.test(path))?.name ?? "other";
    // What comes before the first module are helpers of the bundler.
    const name = part ?? "wrapper";
    texts.set(name, `${texts.get(name) ?? ""}${line}\n`);
  }
  return texts;
}

/** Minified without its imports, so the parts do not sum up to the byte. */
async function minify(text) {
  const options = { minify: true, format: "esm", target: TARGET, treeShaking: false };
  return Buffer.from((await transform(text, options)).code);
}

function measure(name, files) {
  const sum = (size) => files.reduce((total, bytes) => total + size(bytes), 0);
  return {
    name,
    raw: sum((bytes) => bytes.length),
    gzip: sum((bytes) => gzipSync(bytes, { level: 9 }).length),
    brotli: sum((bytes) => brotliCompressSync(bytes, brotli(bytes)).length),
  };
}

/** The highest quality, told how much there is to come, as servers compress files in advance. */
function brotli(bytes) {
  return {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  };
}

const shipped = await buildApplication();
const wasm = shipped.filter(({ name }) => name.endsWith(".wasm"));
const [now, later] = [false, true].map((is) => shipped.filter((file) => file.later === is));
const report = [
  measure("all", now.map(({ bytes }) => bytes)),
  measure("share", later.map(({ bytes }) => bytes)),
  measure("wasm", wasm.map(({ bytes }) => bytes)),
];
for (const [name, text] of splitPackage()) report.push(measure(name, [await minify(text)]));
console.log(JSON.stringify(report, undefined, 2));
