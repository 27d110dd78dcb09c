// Loaded before the package: the core of this page or worker panics when it comes to a frame with
// the words below, as often as `globalThis.panicsLeft` says; a worker is told by its address. With
// `globalThis.panicsNow` it does so when the clock is read next, which every verb does first.

const WORDS = new TextEncoder().encode("make the core panic");
/** (module (func (export "t") unreachable)) */
const TRAP = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 116, 0, 0, 10, 5, 1, 3, 0,
  0, 11,
];
const { t: trap } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(TRAP))).exports;

globalThis.panicsLeft = Number(new URL(location.href).searchParams.get("panics") ?? 0);
globalThis.instances = 0;

function isMarked(bytes) {
  if (!(bytes instanceof Uint8Array)) return false;
  const starts = (_, at) => WORDS.every((byte, index) => bytes[at + index] === byte);
  return bytes.some(starts);
}

/** A frame is copied into the module, and the next turn of the core reads the clock. */
function makeUnreliable(functions) {
  let marked = false;
  for (const [name, run] of Object.entries(functions)) {
    if (name.startsWith("__wbg_prototypesetcall_")) {
      functions[name] = (...parameters) => {
        marked ||= globalThis.panicsLeft > 0 && parameters.some(isMarked);
        return run(...parameters);
      };
    }
    if (name.startsWith("__wbg_now_")) {
      functions[name] = (...parameters) => {
        if (!marked && !globalThis.panicsNow) return run(...parameters);
        if (marked) globalThis.panicsLeft -= 1;
        marked = globalThis.panicsNow = false;
        return trap();
      };
    }
  }
}

const { instantiate } = WebAssembly;
WebAssembly.instantiate = (module, imports) => {
  Object.values(imports ?? {}).forEach(makeUnreliable);
  globalThis.instances += 1;
  return instantiate(module, imports);
};
