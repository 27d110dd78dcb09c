import { unsupported } from "../errors.js";
import type { CheckedConnect } from "../options.js";
import type { RawDoors, RawOptions } from "../raw.js";
import type { WasmSource } from "../types.js";
import type { MakeWorker } from "./line.js";
import type { Opening } from "./messages.js";
import { hasWorkers, type WorkerKind, workerMaker } from "./page.js";

/** Where the node of a bus may run. */
export interface HostPlan {
  readonly host: RawOptions["host"];
  /** How the worker beside this page is started, if there is to be one. */
  readonly make?: MakeWorker | undefined;
  /** Nothing else may host. */
  readonly strict?: boolean;
}

/** Throws `UNSUPPORTED` if this realm can't have the worker that is asked for. */
export function planHost(options: CheckedConnect, in_folder: boolean): HostPlan {
  const { host = "auto", assets } = options;
  if (host === "tab" || host === "inline") return { host };
  const kinds: readonly WorkerKind[] = host === "auto" ? ["shared-worker", "worker"] : [host];
  for (const kind of in_folder ? [] : kinds) {
    const make = hasWorkers(kind) ? workerMaker(kind, assets?.worker) : undefined;
    if (make && host === "auto") return { host: "worker-or-tab", make };
    if (make) return { host: "worker", make, strict: true };
  }
  if (host === "auto") return { host };
  throw unsupported(`host: ${host}`);
}

/** What the worker of this bus is given. */
export function openingOf(
  bus: string,
  options: CheckedConnect,
  hub: RawDoors | undefined,
): Opening {
  const { storage = "auto", durability = "relaxed", limits, user, assets } = options;
  return {
    bus,
    user,
    options: {
      storage: storage as "auto" | "memory",
      durability,
      ...(limits && { limits: limits as Record<string, number> }),
      ...(hub && { hub }),
    },
    wasm: sendable(assets?.wasm),
  };
}

/** What of a source a message can carry. Without it the worker takes what it was built with. */
function sendable(source: WasmSource | undefined): Opening["wasm"] {
  if (source instanceof URL || typeof source === "string") {
    return new URL(source, location.href).href;
  }
  if (globalThis.Request && source instanceof Request) return source.url;
  const bytes = source instanceof ArrayBuffer || ArrayBuffer.isView(source);
  return bytes || source instanceof WebAssembly.Module ? source : undefined;
}
