// Parts of src/ that the package does not export, for tests of them alone.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const SRC = join(dirname(fileURLToPath(import.meta.url)), "../src");
const MODULES = [
  "alarms.ts",
  "codec/decode.ts",
  "codec/encode.ts",
  "duration.ts",
  "errors.ts",
  "files/block.ts",
  "files/file_store.ts",
  "files/names.ts",
  "files/store.ts",
  "hub/http_failure.ts",
  "inbox.ts",
  "keeping.ts",
  "limits.ts",
  "message.ts",
  "options.ts",
  "pending.ts",
  "share/filters.ts",
  "watch.ts",
  "codes.generated.ts",
];

const { outputFiles } = await build({
  stdin: {
    contents: MODULES.map((module) => `export * from "./${module}";`).join("\n"),
    resolveDir: SRC,
  },
  bundle: true,
  format: "esm",
  external: ["node:*"],
  target: "es2022",
  write: false,
});

export const internals = await import(
  `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`
);
