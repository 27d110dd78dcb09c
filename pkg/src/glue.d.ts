// What build.mjs makes of the glue that wasm-bindgen generated: each call has a state of its own,
// so that a poisoned instance can be replaced.
declare module "virtual:glue" {
  export function makeGlue(guard: (exports: WebAssembly.Exports) => WebAssembly.Exports): {
    readonly imports: WebAssembly.Imports;
    finish(instance: WebAssembly.Instance, module: WebAssembly.Module): void;
    readonly RawBus: import("./raw.js").RawBusConstructor;
  };
}

declare module "virtual:sim-glue" {
  export function makeGlue(guard: (exports: WebAssembly.Exports) => WebAssembly.Exports): {
    readonly imports: WebAssembly.Imports;
    finish(instance: WebAssembly.Instance, module: WebAssembly.Module): void;
    readonly simulateSeed: import("./sim/module.js").SimulateSeed;
    lastPanic(): string;
    readonly Chance: import("./sim/module.js").ChanceConstructor;
    readonly History: import("./sim/module.js").HistoryConstructor;
  };
}

// Each call gives another copy, which sees these globals in place of the real ones.
declare module "virtual:package" {
  export function loadPackage(globals: object): typeof import("./sim/world/inside.js");
}

declare module "virtual:sim-pages" {
  export const runScenario: typeof import("./sim/world/run.js").runScenario;
}

declare module "virtual:indexeddb" {
  export function loadEngine(globals: object): typeof import("./sim/world/database_engine.js");
}

// The entry for Node and the commands need no more of it than this.
declare module "node:fs/promises" {
  export function readFile(path: URL | string): Promise<Uint8Array<ArrayBuffer>>;
  export function mkdir(path: string, options: { recursive: true }): Promise<unknown>;
}

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

// The bundle that applications in Node.js load, of which there must be one in a process.
declare module "virtual:main" {
  export const createBus: typeof import("./index.js").createBus;
  export const RemoteError: typeof import("./index.js").RemoteError;
}

// What a bus of two homes needs: a file of its own, which pages load only then.
declare module "virtual:share" {
  export const connectShared: typeof import("./share/connect.js").connectShared;
}
