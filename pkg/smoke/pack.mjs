// The tarball, and fresh folders that have it installed with no network.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const PACKAGE = join(dirname(fileURLToPath(import.meta.url)), "..");

/** Makes a folder that goes away with the process. */
export function temporaryFolder(name) {
  const folder = mkdtempSync(join(tmpdir(), `tabmq-${name}-`));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Packs what is in the tree and in dist/ now. Answers the tarball and the files in it. */
export function pack() {
  const folder = temporaryFolder("pack");
  // What the scripts around packing do; npm would mix their output into its own.
  execFileSync(process.execPath, ["build.mjs", "--documents"], { cwd: PACKAGE });
  const options = ["--json", "--ignore-scripts", "--pack-destination", folder];
  const packed = npm(PACKAGE, "pack", ...options);
  execFileSync(process.execPath, ["build.mjs", "--remove-documents"], { cwd: PACKAGE });
  const [{ filename, files }] = JSON.parse(packed);
  return { tarball: join(folder, filename), files: files.map(({ path }) => path) };
}

/** A fresh application with the package from the tarball, and these files. */
export function freshApp(name, tarball, files) {
  const folder = temporaryFolder(name);
  const overrides = packDependencies();
  const manifest = { name: `fresh-${name}`, private: true, type: "module", overrides };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  npm(folder, "install", "--offline", "--no-audit", "--no-fund", "--ignore-scripts", tarball);
  return folder;
}

/**
 * What the package depends on, as it is installed here: with no network npm does not find out what
 * there is. It is used if the package asks for it, and only then.
 */
function packDependencies() {
  const { dependencies } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8"));
  const folder = temporaryFolder("dependencies");
  const options = ["--json", "--ignore-scripts", "--pack-destination", folder];
  const packed = Object.keys(dependencies).map((name) => {
    const installed = join(PACKAGE, "../node_modules", name);
    const [{ filename }] = JSON.parse(npm(folder, "pack", ...options, installed));
    return [name, `file:${join(folder, filename)}`];
  });
  return Object.fromEntries(packed);
}

function npm(cwd, ...parameters) {
  const env = { ...process.env, npm_config_update_notifier: "false", npm_config_loglevel: "error" };
  // What npm hands to its scripts would point the fresh application at our workspaces.
  for (const name of Object.keys(env)) {
    if (/^npm_(?:config_(?:workspace|local_prefix)|package_|lifecycle_)/.test(name))
      delete env[name];
  }
  return execFileSync("npm", parameters, {
    cwd,
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
}
