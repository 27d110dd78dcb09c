// Reports whether the policy of this page lets wasm be compiled.
const EMPTY_MODULE = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

let compiled = true;
try {
  await WebAssembly.compile(EMPTY_MODULE);
} catch {
  compiled = false;
}
await fetch("/__report?name=policy", { method: "POST", body: JSON.stringify({ compiled }) });
