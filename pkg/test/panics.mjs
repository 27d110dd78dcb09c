// A core that panics, and one that gets no more memory: for a test of its own process.
import fs from "node:fs";

/** (module (func (export "t") unreachable)) */
const TRAP = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 116, 0, 0, 10, 5, 1, 3, 0,
  0, 11,
];
const { t: trap } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(TRAP))).exports;

const MEMORY_SECTION = 5;

/** The numbers of a module are little by little: seven bits in each byte. */
function numberAt(bytes, at) {
  let [value, shift] = [0, 0];
  for (;;) {
    const byte = bytes[at++];
    value |= (byte & 127) << shift;
    shift += 7;
    if (byte < 128) return { value, at };
  }
}

function numberBytes(value) {
  return value < 128 ? [value] : [(value & 127) | 128, ...numberBytes(value >> 7)];
}

/** The module as it is shipped, but that its memory has a maximum. */
function withLittleMemory(bytes, extra_pages) {
  for (let at = 8; at < bytes.length; ) {
    const size = numberAt(bytes, at + 1);
    const end = size.at + size.value;
    if (bytes[at] !== MEMORY_SECTION) {
      at = end;
      continue;
    }
    const [count, flags] = bytes.subarray(size.at);
    if (count !== 1 || flags !== 0) throw new Error("the memory has a maximum already");
    const { value: pages } = numberAt(bytes, size.at + 2);
    const section = [1, 1, ...numberBytes(pages), ...numberBytes(pages + extra_pages)];
    const head = [MEMORY_SECTION, ...numberBytes(section.length)];
    const changed = Uint8Array.from([...head, ...section]);
    return Buffer.concat([bytes.subarray(0, at), changed, bytes.subarray(end)]);
  }
  throw new Error("the module has no memory");
}

/** The shipped module with room for a few megabytes. */
export const littleModule = () =>
  withLittleMemory(fs.readFileSync(new URL("../dist/tabmq.wasm", import.meta.url)), 128);

/**
 * What happens to the instances of this process; the first one is made after this. The clock is
 * read at the begin of each verb and each turn, when the core is borrowed: a trap there leaves it
 * in the same state as one of its own instructions.
 */
export const faults = {
  instances: 0,
  /** How many more times the clock is read before that fails, and how it fails. */
  clock_reads: undefined,
  fail: trap,
  memory: undefined,
  /** From now on the newest instance gets no more memory. */
  takeMemory() {
    while (this.grow(64) || this.grow(1));
  },
  grow(pages) {
    try {
      return this.memory.grow(pages) > 0;
    } catch {
      return false;
    }
  },
};

function unreliable(read) {
  return (...parameters) => {
    if (faults.clock_reads !== undefined && faults.clock_reads-- === 0) {
      faults.clock_reads = undefined;
      faults.fail();
    }
    return read(...parameters);
  };
}

const { instantiate } = WebAssembly;
WebAssembly.instantiate = async (module, imports = {}) => {
  for (const functions of Object.values(imports)) {
    for (const name of Object.keys(functions)) {
      if (name.startsWith("__wbg_now_")) functions[name] = unreliable(functions[name]);
    }
  }
  const instance = await instantiate(module, imports);
  // Node itself makes instances of other modules.
  if (!instance.exports?.rawbus_new) return instance;
  faults.instances += 1;
  faults.memory = instance.exports.memory;
  return instance;
};
