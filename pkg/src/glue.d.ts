// What build.mjs makes of the glue that wasm-bindgen generated: each call has a state of its own,
// so that a poisoned instance can be replaced.
declare module "virtual:glue" {
  export function makeGlue(guard: (exports: WebAssembly.Exports) => WebAssembly.Exports): {
    readonly imports: WebAssembly.Imports;
    finish(instance: WebAssembly.Instance, module: WebAssembly.Module): void;
    readonly RawBus: import("./raw.js").RawBusConstructor;
  };
}

// The entry for Node needs no more of it than this.
declare module "node:fs/promises" {
  export function readFile(path: URL): Promise<Uint8Array<ArrayBuffer>>;
}

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
