import { makeGlue } from "virtual:glue";
import { compile } from "./compile.js";
import { TabmqError } from "./errors.js";
import type { RawBusConstructor } from "./raw.js";
import type { WasmSource } from "./types.js";

/** One instance of the wasm module. All buses of a realm share one, until it is poisoned. */
export interface Instance {
  readonly RawBus: RawBusConstructor;
  /** Everyone to be told when it traps. It is not used after that. */
  readonly trapped: Set<(cause: unknown) => void>;
}

let defaultSource: (() => WasmSource) | undefined;
let modules: Promise<WebAssembly.Module> | undefined;
let current: Promise<Instance> | undefined;

/** Each entry of the package tells where the module lies in its runtime. */
export function setDefaultSource(source: () => WasmSource): void {
  defaultSource = source;
}

/**
 * The instance of this realm, loaded at the first call; or one that is `alone`, and ends with its
 * user. A failed attempt is forgotten.
 */
export function instance(source: WasmSource | undefined, alone = false): Promise<Instance> {
  const made: Promise<Instance> =
    (alone ? undefined : current)
    ?? instantiate(source, alone).catch((error: unknown) => {
      if (current === made) current = undefined;
      throw new TabmqError("UNAVAILABLE", `the wasm module can't be loaded: ${String(error)}`, {
        cause: error,
      });
    });
  if (!alone) current = made;
  return made;
}

async function instantiate(source: WasmSource | undefined, alone: boolean): Promise<Instance> {
  modules ??= compile(source ?? defaultSource?.()).catch((error: unknown) => {
    modules = undefined;
    throw error;
  });
  const module = await modules;
  const trapped = new Set<(cause: unknown) => void>();
  const glue = makeGlue((exports) =>
    guarded(exports, (cause) => {
      // One that is alone costs the others no more than another instance.
      current = undefined;
      for (const tell of trapped) tell(cause);
      trapped.clear();
    }),
  );
  // A promise of the engine may be settled while the runtime works for another object.
  const made = alone
    ? new WebAssembly.Instance(module, glue.imports)
    : await WebAssembly.instantiate(module, glue.imports);
  glue.finish(made, module);
  return { RawBus: glue.RawBus, trapped };
}

/**
 * Calls into the module, and callbacks of the platform too, all go through its exports. After a
 * trap a caller of ours hears of it; the platform, which could only end the process, does not, and
 * its later callbacks find nothing.
 */
function guarded(
  exports: WebAssembly.Exports,
  trap: (cause: unknown) => void,
): WebAssembly.Exports {
  let dead = false;
  const guard = (run: Callable, isOurs: boolean): Callable => {
    return (...parameters) => {
      // The glue may look for an error in what a callback returns; there is none.
      if (dead && !isOurs) return [];
      try {
        return run(...parameters);
      } catch (error) {
        const isTrap = poisons(error);
        if (isTrap && !dead) {
          dead = true;
          trap(error);
        }
        if (isTrap && !isOurs) return [];
        throw error;
      }
    };
  };
  const guards: WebAssembly.Exports = {};
  for (const [name, value] of Object.entries(exports)) {
    const isOurs = !/closure|_free$/.test(name);
    guards[name] = typeof value === "function" ? guard(value as Callable, isOurs) : value;
  }
  return guards;
}

/**
 * A trap, or anything else that was thrown through the module, such as the end of the stack: what
 * was borrowed stays so. A plain `Error` comes from the checks at its door; nothing is begun then.
 */
function poisons(error: unknown): boolean {
  return Object(error).constructor !== Error;
}

type Callable = (...parameters: unknown[]) => unknown;
