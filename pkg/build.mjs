// Makes dist/ of src/ and of the wasm module that `cargo xtask build` put into wasm/.
// `--module FOLDER --out FOLDER` makes what browsers load of another build of the module.
// `--documents` copies what the package tells about itself beside package.json, for `npm pack`;
// `--remove-documents` takes it away again.
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

import { build, transform } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const ENTRIES = [
  "browser",
  "share",
  "worker",
  "node",
  "workerd",
  "idb",
  "sim",
  "sim-node",
  "sim-pages",
  "hub",
  "cloudflare",
  "cli",
];
/** What pages load. */
const ENTRIES_OF_PAGES = ["browser", "share", "worker"];
const TARGET = "es2022";
/** What a page has from its browser and a simulated one has from its world. */
const PAGE_GLOBALS = [
  "globalThis",
  "self",
  "window",
  "document",
  "navigator",
  "location",
  "addEventListener",
  "removeEventListener",
  "setTimeout",
  "clearTimeout",
  "performance",
  "Date",
  "crypto",
  "BroadcastChannel",
  "indexedDB",
  "IDBKeyRange",
  "sessionStorage",
  "WebAssembly",
  "Worker",
  "SharedWorker",
];
const DOCUMENTS = ["LICENSE", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

const { values: options } = parseArgs({
  options: {
    module: { type: "string" },
    out: { type: "string" },
    documents: { type: "boolean" },
    "remove-documents": { type: "boolean" },
  },
});
const module = resolve(options.module ?? join(HERE, "wasm"));
const out = resolve(options.out ?? join(HERE, "dist"));

async function buildAll() {
  const for_pages = options.module !== undefined;
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  copyFileSync(join(module, "tabmq_bg.wasm"), join(out, "tabmq.wasm"));
  if (!for_pages) {
    emitTypes();
    copyFileSync(join(HERE, "wasm-edge/tabmq_bg.wasm"), join(out, "tabmq-edge.wasm"));
    copyFileSync(join(HERE, "wasm-sim/tabmq_sim_bg.wasm"), join(out, "tabmq-sim.wasm"));
  }
  for (const entry of for_pages ? ENTRIES_OF_PAGES : ENTRIES) await bundle(entry);
  if (!for_pages) chmodSync(join(out, "cli.js"), 0o755);
}

async function bundle(entry) {
  const outfile = join(out, `${entry}.js`);
  await build({
    entryPoints: [join(HERE, `src/entry/${entry}.ts`)],
    outfile,
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: TARGET,
    external: ["node:*", "jose", "ws", "./tabmq-edge.wasm"],
    plugins: [
      entry === "workerd" ? glue_of_edge : glue,
      share,
      // A hub has the buses of whoever runs it.
      realms(entry === "cloudflare" ? "./workerd.js" : "./node.js"),
    ],
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
 * Code that each simulated page or world has a copy of its own of: a function that takes what it
 * sees as its globals. By the name under which sources import it.
 */
const REALMS = {
  package: { source: "src/sim/world/inside.ts", name: "loadPackage", globals: PAGE_GLOBALS },
  indexeddb: {
    source: "src/sim/world/database_engine.ts",
    name: "loadEngine",
    globals: ["globalThis"],
  },
};

const realms = (main_path) => ({
  name: "realms",
  setup(context) {
    // A file of its own: who runs the model alone does not load it.
    const pages = { path: "./sim-pages.js", external: true };
    context.onResolve({ filter: /^virtual:sim-pages$/ }, () => pages);
    const main = { path: main_path, external: true };
    context.onResolve({ filter: /^virtual:main$/ }, () => main);
    const hub = { path: "./hub.js", external: true };
    context.onResolve({ filter: /^virtual:hub$/ }, () => hub);
    for (const [path, realm] of Object.entries(REALMS)) {
      const filter = new RegExp(`^virtual:${path}$`);
      context.onResolve({ filter }, () => ({ path, namespace: "realm" }));
      context.onLoad({ filter: new RegExp(`^${path}$`), namespace: "realm" }, async () => ({
        contents: await wrapRealm(realm),
        loader: "js",
      }));
    }
  },
});

async function wrapRealm({ source, name, globals }) {
  const { outputFiles } = await build({
    entryPoints: [join(HERE, source)],
    bundle: true,
    format: "iife",
    globalName: "loaded",
    platform: "neutral",
    mainFields: ["module", "main"],
    target: TARGET,
    plugins: [glue, share],
    legalComments: "none",
    logLevel: "warning",
    write: false,
  });
  const seen = `const { ${globals.join(", ")} } = globals;`;
  const [{ text }] = outputFiles;
  return `export function ${name}(globals) {\n${seen}\n${text}\nreturn loaded;\n}`;
}

/** What a bus of two homes needs is a file of its own: who has none does not load it. */
const share = {
  name: "share",
  setup(context) {
    const file = { path: "./share.js", external: true };
    context.onResolve({ filter: /^(virtual:share|\.\/share\.js)$/ }, () => file);
  },
};

/** By the name under which sources import it: where the glue is, and what it exports. */
const GLUES = {
  glue: { file: join(module, "tabmq.js"), exports: ["RawBus"] },
  "sim-glue": {
    file: join(HERE, "wasm-sim/tabmq_sim.js"),
    exports: ["simulateSeed", "lastPanic", "Chance", "History"],
  },
};

/**
 * wasm-bindgen keeps the state of its one instance in variables of the module. Wrapped into a
 * function, each call makes a state of its own, so a poisoned instance can be replaced. The exports
 * pass through a guard, so that we hear of a trap wherever it happens.
 */
const glueOf = (glues) => ({
  name: "glue",
  setup(context) {
    for (const [name, { file, exports }] of Object.entries(glues)) {
      const filter = new RegExp(`^virtual:${name}$`);
      context.onResolve({ filter }, () => ({ path: name, namespace: "glue" }));
      context.onLoad({ filter: new RegExp(`^${name}$`), namespace: "glue" }, () => ({
        contents: wrapGlue(file, exports),
        loader: "js",
      }));
    }
  },
});
const glue = glueOf(GLUES);
/** Each module has its own: names in it come from how the module was compiled. */
const glue_of_edge = glueOf({
  glue: { ...GLUES.glue, file: join(HERE, "wasm-edge/tabmq.js") },
});

function wrapGlue(file, names) {
  const text = readFileSync(file, "utf8");
  const from = "wasm = instance.exports;";
  const guarded = replaceOnce(file, text, from, "wasm = guard(instance.exports);");
  // What loads and compiles is ours; see src/wasm.ts.
  const loading = /^async function __wbg_load\([^]*^export \{[^}]*\};?$/m;
  const needed = replaceOnce(file, guarded, loading, "");
  const plain = needed.replaceAll(/^export (?=class |function )/gm, "");
  if (/^(import|export)\b/m.test(plain)) throw new Error(`${file}: an import or export is left`);
  for (const name of names) {
    const defined = new RegExp(`^(class|function) ${name}\\b`, "m").test(plain);
    if (!defined) throw new Error(`${file}: there is no ${name}`);
  }
  const parts = ["imports: __wbg_get_imports()", "finish: __wbg_finalize_init", ...names];
  return `export function makeGlue(guard) {\n${plain}\nreturn { ${parts.join(", ")} };\n}`;
}

function replaceOnce(file, text, from, to) {
  const parts = text.split(from);
  if (parts.length !== 2)
    throw new Error(`${file}: ${from} is there ${parts.length - 1} times, not once`);
  return parts.join(to);
}

/** Declarations of all that the index reaches; the rest would only show what is private. */
function emitTypes() {
  const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
  const types = join(HERE, "dist/types");
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
  const entries = ["index", "idb", "sim", "hub", "cloudflare"];
  for (const entry of entries) reach(join(types, `${entry}.d.ts`));
  for (const name of readdirSync(types, { recursive: true })) {
    const file = join(types, name);
    if (name.endsWith(".d.ts") && !reached.has(file)) rmSync(file);
  }
  for (const name of ["entry", "codec"]) {
    rmSync(join(types, name), { recursive: true, force: true });
  }
}

/** They are there while npm packs, and only then: they belong to the root of the checkout. */
function copyDocuments() {
  for (const name of DOCUMENTS) copyFileSync(join(HERE, "..", name), join(HERE, name));
  copyFileSync(join(HERE, "../THIRD_PARTY.md"), join(HERE, "dist/THIRD_PARTY.md"));
}

function removeDocuments() {
  for (const name of DOCUMENTS) rmSync(join(HERE, name), { force: true });
}

if (options.documents) copyDocuments();
else if (options["remove-documents"]) removeDocuments();
else await buildAll();
