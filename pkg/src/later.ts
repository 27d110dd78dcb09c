import { unsupported } from "./errors.js";
import { attempt } from "./pending.js";

/** Verbs of later versions: used all the same, each is refused as `UNSUPPORTED` by its name. */
export function later(
  prototype: object,
  owner: string,
  names: { readonly rejects: string; readonly throws: string; readonly absent: string },
): void {
  const define = (list: string, make: (error: () => Error) => PropertyDescriptor) => {
    for (const name of list.split(" ")) {
      if (name)
        Object.defineProperty(
          prototype,
          name,
          make(() => unsupported(`${owner}.${name}`)),
        );
    }
  };
  define(names.rejects, (error) => ({
    value: () =>
      attempt(() => {
        throw error();
      }),
  }));
  define(names.throws, (error) => ({
    value: () => {
      throw error();
    },
  }));
  define(names.absent, (error) => ({
    get: () => {
      throw error();
    },
  }));
}
