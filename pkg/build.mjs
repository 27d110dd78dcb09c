// Makes dist/ of src/ and of the wasm module that `cargo xtask build` put into wasm/.
// `--documents` copies what the package tells about itself beside package.json, for `npm pack`;
// `--remove-documents` takes it away again.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build, transform } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const ENTRIES = ["browser", "node", "workerd", "idb"];
const TARGET = "es2022";
const DOCUMENTS = ["LICENSE", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

async function buildAll() {
  rmSync(join(HERE, "dist"), { recursive: true, force: true });
  mkdirSync(join(HERE, "dist"));
  emitTypes();
  copyFileSync(join(HERE, "wasm/tabmq_bg.wasm"), join(HERE, "dist/tabmq.wasm"));
  for (const entry of ENTRIES) await bundle(entry);
}

async function bundle(entry) {
  const outfile = join(HERE, `dist/${entry}.js`);
  await build({
    entryPoints: [join(HERE, `src/entry/${entry}.ts`)],
    outfile,
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: TARGET,
    external: ["node:*", "./tabmq.wasm"],
    plugins: [glue],
    logLevel: "warning",
  });
  const { code } = await transform(readFileSync(outfile), {
    minify: true,
    target: TARGET,
    format: "esm",
  });
  const zipped = gzipSync(code, { level: 9 });
  console.log(`${entry}.js: ${code.length} bytes minified, ${zipped.length} with gzip`);
}

/**
 * wasm-bindgen keeps the state of its one instance in variables of the module. Wrapped into a
 * function, each call makes a state of its own, so a poisoned instance can be replaced. The exports
 * pass through a guard, so that we hear of a trap wherever it happens.
 */
const glue = {
  name: "glue",
  setup(context) {
    context.onResolve({ filter: /^virtual:glue$/ }, () => ({ path: "glue", namespace: "glue" }));
    context.onLoad({ filter: /.*/, namespace: "glue" }, () => ({
      contents: wrapGlue(),
      loader: "js",
    }));
  },
};

function wrapGlue() {
  const text = readFileSync(join(HERE, "wasm/tabmq.js"), "utf8");
  const guarded = replaceOnce(text, "wasm = instance.exports;", "wasm = guard(instance.exports);");
  // What loads and compiles is ours; see src/wasm.ts.
  const needed = replaceOnce(guarded, /^async function __wbg_load\([^]*^export \{[^}]*\};?$/m, "");
  const plain = needed.replaceAll(/^export (?=class )/gm, "");
  const hasBus = /^class RawBus\b/m.test(plain);
  if (/^(import|export)\b/m.test(plain))
    throw new Error("wasm/tabmq.js: an import or export is left");
  const glueParts = `imports: __wbg_get_imports(), finish: __wbg_finalize_init`;
  const bus = hasBus ? "RawBus" : "RawBus: undefined";
  return `export function makeGlue(guard) {\n${plain}\nreturn { ${glueParts}, ${bus} };\n}`;
}

function replaceOnce(text, from, to) {
  const parts = text.split(from);
  if (parts.length !== 2)
    throw new Error(`wasm/tabmq.js: ${from} is there ${parts.length - 1} times, not once`);
  return parts.join(to);
}

/** Declarations of all that the index reaches; the rest would only show what is private. */
function emitTypes() {
  const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
  const out = join(HERE, "dist/types");
  execFileSync(
    process.execPath,
    [join(typescript, "bin/tsc"), "-p", join(HERE, "tsconfig.build.json")],
    { stdio: "inherit" },
  );
  const reached = new Set();
  const reach = (file) => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const [, path] of readFileSync(file, "utf8").matchAll(
      /(?:from|import) "(\.[^"]+)\.js"/g,
    )) {
      reach(resolve(dirname(file), `${path}.d.ts`));
    }
  };
  reach(join(out, "index.d.ts"));
  reach(join(out, "idb.d.ts"));
  for (const name of readdirSync(out, { recursive: true })) {
    const file = join(out, name);
    if (name.endsWith(".d.ts") && !reached.has(file)) rmSync(file);
  }
  for (const name of ["entry", "codec"]) rmSync(join(out, name), { recursive: true, force: true });
}

/** They are there while npm packs, and only then: they belong to the root of the checkout. */
function copyDocuments() {
  for (const name of DOCUMENTS) copyFileSync(join(HERE, "..", name), join(HERE, name));
  copyFileSync(join(HERE, "../THIRD_PARTY.md"), join(HERE, "dist/THIRD_PARTY.md"));
}

function removeDocuments() {
  for (const name of DOCUMENTS) rmSync(join(HERE, name), { force: true });
}

if (process.argv.includes("--documents")) copyDocuments();
else if (process.argv.includes("--remove-documents")) removeDocuments();
else await buildAll();
