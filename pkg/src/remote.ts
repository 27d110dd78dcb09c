import { dispose } from "./dispose.js";
import type { Context } from "./context.js";
import { failed, RemoteError, unsupported } from "./errors.js";
import { decodeBody } from "./message.js";
import { checkCall, checkTrace, patience } from "./options.js";
import { attempt } from "./pending.js";
import { OUTCOME, type RawEventOf } from "./raw.js";
import type { Call, CallOptions, RemoteClient } from "./types.js";

/** What the core takes; some 34 years. */
const TIMEOUT_MS_MAX = 2 ** 40;

export function call(
  context: Context,
  service: string,
  method: string,
  parameters: readonly unknown[],
  options?: CallOptions,
): Call<unknown> {
  let cancel = () => {};
  const promise = attempt(() => {
    const verb = `call "${service}.${method}"`;
    const checked = checkCall(options);
    const wait = patience(verb, checked, context.engine.limits.call_timeout_ms);
    let { traceparent } = checked;
    const letter = { kind: "call" as const, service, method, parameters, traceparent };
    const encoded = context.interceptors.outgoing(letter, (message) => {
      traceparent = checkTrace(message.traceparent);
      return context.encode(message.parameters, "arguments");
    });
    const pending = context.ask(
      wait,
      "call",
      encoded,
      (raw, bytes, { left_ms }) =>
        raw.call(service, method, bytes, Math.min(left_ms, TIMEOUT_MS_MAX), traceparent),
      ([, , kind, outcome, maybeExecuted]: RawEventOf<"callEnded">) => {
        if (typeof outcome === "number") throw failed(verb, outcome, "", maybeExecuted);
        const value = decodeBody(context.codec, outcome);
        if (kind === OUTCOME.threw) throw new RemoteError(value);
        return value;
      },
    );
    cancel = () => pending.cancel();
    return pending.promise;
  });
  return Object.assign(promise, { cancel, [dispose]: cancel });
}

/** The methods of a service as functions. `then` is none, or an `await` would call it. */
export function remoteClient<A>(
  context: Context,
  service: string,
  options: CallOptions | undefined,
): RemoteClient<A> {
  checkCall(options);
  const methods = new Map<string, unknown>();
  const special: Record<string, unknown> = {
    $with: (more: CallOptions) => remoteClient(context, service, { ...options, ...more }),
    $send: methodProxy(
      (name) =>
        (...parameters: unknown[]) =>
          void call(context, service, name, parameters, options),
    ),
  };
  return methodProxy((name) => {
    if (name === "$durable") throw unsupported("client.$durable");
    if (name.startsWith("$")) return special[name];
    if (!methods.has(name)) {
      methods.set(name, (...parameters: unknown[]) =>
        call(context, service, name, parameters, options),
      );
    }
    return methods.get(name);
  }) as RemoteClient<A>;
}

function methodProxy(method: (name: string) => unknown): object {
  return new Proxy(Object.create(null) as object, {
    get: (_, name) => (typeof name === "symbol" || name === "then" ? undefined : method(name)),
    set: () => false,
  });
}
