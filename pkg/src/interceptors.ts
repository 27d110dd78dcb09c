import { dispose } from "./dispose.js";
import { invalid, isTabmqError, Reject, Retry, TabmqError } from "./errors.js";
import { checkHeaders } from "./options.js";
import type { Incoming, Interceptor, Outgoing } from "./types.js";

/** Those of one bus, in the order in which they were registered. */
export class Interceptors {
  #all: readonly Interceptor[] = [];

  /** The answer takes it off again. */
  use(interceptor: Interceptor): Disposable {
    const { outgoing, incoming } = Object(interceptor) as Interceptor;
    for (const part of [outgoing, incoming])
      if (part !== undefined && typeof part !== "function")
        throw invalid("use: an interceptor is an object with functions", "interceptor");
    if (!outgoing && !incoming)
      throw invalid('use: there is neither "outgoing" nor "incoming"', "interceptor");
    // An object of its own, so that one interceptor may be used twice.
    const own: Interceptor = {
      name: interceptor.name ?? "",
      ...(outgoing && { outgoing: (message: Outgoing) => outgoing.call(interceptor, message) }),
      ...(incoming && { incoming: (message: Incoming) => incoming.call(interceptor, message) }),
    };
    this.#all = [...this.#all, own];
    return {
      [dispose]: () => {
        this.#all = this.#all.filter((one) => one !== own);
      },
    };
  }

  /** Nobody sees what leaves or comes. */
  get none(): boolean {
    return !this.#all.length;
  }

  /** Whether any of them sees what comes. */
  get hear(): boolean {
    return this.#all.some(({ incoming }) => incoming);
  }

  /** Shows what leaves, then makes something of it: at once, if nobody takes time. */
  outgoing<M extends Outgoing, T>(
    message: M,
    make: (message: M) => T | Promise<T>,
  ): T | Promise<T> {
    // Most buses have none.
    if (!this.#all.length) return make(message);
    const passed = pass(this.#all, "outgoing", message);
    const checked = () => {
      if ("headers" in message) checkHeaders(message.headers);
      return make(message);
    };
    return passed ? passed.then(checked) : checked();
  }

  /** Shows what came. */
  incoming(message: Incoming): void | Promise<void> {
    return pass([...this.#all].reverse(), "incoming", message);
  }
}

/** A promise, if one of them takes time. */
function pass(
  interceptors: readonly Interceptor[],
  way: "outgoing" | "incoming",
  message: Outgoing | Incoming,
): void | Promise<void> {
  for (const [index, interceptor] of interceptors.entries()) {
    const refuse = (error: unknown): never => {
      throw attributed(interceptor, way, error);
    };
    let seen: unknown;
    try {
      seen = interceptor[way]?.(message as never);
    } catch (error) {
      refuse(error);
    }
    if (typeof (seen as PromiseLike<void> | undefined)?.then === "function")
      return Promise.resolve(seen as Promise<void>).then(
        () => pass(interceptors.slice(index + 1), way, message),
        refuse,
      );
  }
}

/** What an interceptor throws to be told as it is, or an error that names the interceptor. */
function attributed({ name }: Interceptor, way: string, error: unknown): unknown {
  if (isTabmqError(error) || error instanceof Reject || error instanceof Retry) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new TabmqError("INVALID", `interceptor "${name}" refused (${way}): ${text}`, {
    cause: error,
    data: { reason: "interceptor", name: name as string },
  });
}
