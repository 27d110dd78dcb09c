// Runs the same seeds of the simulator natively, in wasm under Node.js and by the npm package, and
// compares what they count and put out. Prints `N passed, N failed` last.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { simulate } from "tabmq/sim";

const CASES = 24;
const WASM = "wasm32-unknown-unknown";
const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs cargo on the crate of this folder; gives what it prints. */
function cargo(verb, ...rest) {
  const crate = ["--quiet", "--locked", "--profile", "sim", "--package", "parity"];
  const stdio = ["ignore", "pipe", "inherit"];
  return execFileSync("cargo", [verb, ...crate, ...rest], { cwd: root, stdio, encoding: "utf8" });
}

/** Where the wasm module was built: cargo says so in its messages. */
function buildWasm() {
  const messages = cargo("build", "--lib", "--target", WASM, "--message-format", "json");
  const artifacts = messages.split("\n").filter((line) => line.includes('"compiler-artifact"'));
  const files = artifacts.flatMap((line) => JSON.parse(line).filenames);
  const module = files.find((file) => file.endsWith("parity.wasm"));
  if (module === undefined) throw new Error("cargo built no parity.wasm");
  return readFileSync(module);
}

/** The exports of the module. The browser driver is linked in and asks for imports; no case may. */
async function instantiate(bytes) {
  const module = await WebAssembly.compile(bytes);
  const imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    imports[from] ??= {};
    imports[from][name] = () => {
      throw new Error(`a case calls ${name} of the browser`);
    };
  }
  return (await WebAssembly.instantiate(module, imports)).exports;
}

const native = cargo("run", "--bin", "parity", "--", String(CASES)).trim().split("\n");
const { run_one_case, last_hash } = await instantiate(buildWasm());
let [passed, failed, total] = [0, 0, 0n];
for (const line of native) {
  const seed = line.split(" ")[0];
  const inputs = BigInt.asUintN(64, run_one_case(BigInt(seed)));
  const hash = BigInt.asUintN(64, last_hash()).toString(16).padStart(16, "0");
  const [packaged] = (await simulate({ seed: Number(seed) })).reports;
  const by_package = `${seed} ${packaged.inputs} ${packaged.hash}`;
  const same = line === `${seed} ${inputs} ${hash}` && line === by_package && inputs > 0n;
  total += inputs;
  if (same) passed += 1;
  else failed += 1;
  if (!same) console.log(`native ${line}, wasm ${seed} ${inputs} ${hash}, package ${by_package}`);
}
console.log(`${native.length} cases, ${total} inputs, last hash ${native.at(-1).split(" ")[2]}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
