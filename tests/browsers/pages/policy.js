// Reports whether the policy of this page lets wasm run. WebKit lets it be compiled under any
// policy and refuses to instantiate it.
const EMPTY_MODULE = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

let wasm = "runs";
try {
  await WebAssembly.instantiate(EMPTY_MODULE);
} catch {
  wasm = "refused";
}
await fetch("/__report?name=policy", { method: "POST", body: JSON.stringify({ wasm }) });
