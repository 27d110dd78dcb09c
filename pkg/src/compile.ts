import type { WasmSource } from "./types.js";

/** The module that is there, or behind the address. */
export async function compile(from: WasmSource | undefined): Promise<WebAssembly.Module> {
  let source = await from;
  if (source instanceof WebAssembly.Module) return source;
  if (
    typeof source === "string"
    || source instanceof URL
    || (globalThis.Request && source instanceof Request)
  ) {
    source = await fetch(source);
  }
  if (source instanceof Response) {
    if (!source.ok) throw new Error(`${source.status} for ${source.url}`);
    if (source.headers.get("content-type") === "application/wasm")
      return WebAssembly.compileStreaming(source);
    source = await source.arrayBuffer();
  }
  return WebAssembly.compile(source as BufferSource);
}
