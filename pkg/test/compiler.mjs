import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Throws with what the compiler says if TypeScript files are not right by their types. */
export function checkTypes(files) {
  const typescript = createRequire(import.meta.url).resolve("typescript/package.json");
  const compiler = join(dirname(typescript), "bin/tsc");
  const strict = ["--ignoreConfig", "--noEmit", "--strict"];
  const target = ["--module", "nodenext", "--target", "es2022"];
  const libraries = ["--lib", "es2022,dom,dom.iterable,dom.asynciterable,esnext.disposable"];
  const options = [...strict, ...target, ...libraries, "--types", "node"];
  const { status, stdout } = spawnSync(process.execPath, [compiler, ...options, ...files], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stdout);
}
