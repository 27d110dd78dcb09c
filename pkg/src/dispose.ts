/**
 * The symbols of `using`, filled in where they are missing. A class body that used a missing one
 * would define its method under the name "undefined", so classes take them from here.
 */
export const dispose: typeof Symbol.dispose = fill("dispose") as never;
export const asyncDispose: typeof Symbol.asyncDispose = fill("asyncDispose") as never;

function fill(name: "dispose" | "asyncDispose"): symbol {
  const symbols = Symbol as { readonly dispose?: symbol; readonly asyncDispose?: symbol };
  const value = symbols[name] ?? Symbol(`Symbol.${name}`);
  if (!symbols[name]) Object.defineProperty(symbols, name, { value });
  return value;
}
