// Keeps the memories of all wasm modules of this page, to tell how they grow.
// Imported before the package, which instantiates its module at its first use.

const memories = [];
const { instantiate } = WebAssembly;
WebAssembly.instantiate = async (...parameters) => {
  const result = await instantiate(...parameters);
  memories.push((result.instance ?? result).exports.memory);
  return result;
};

export function wasmBytes() {
  return memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
}
