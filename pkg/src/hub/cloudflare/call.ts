import type { RawGrant } from "../authorize.js";
import type { Target } from "../routes.js";

/**
 * What the Worker asks of an object, beside the request it passes on. Only code of the Worker
 * reaches an object, and whatever a client says under this header is replaced.
 */
export type ObjectCall = { readonly bus: string } & (
  | {
      readonly kind: "socket";
      /** Absent: everything. */
      readonly grant?: RawGrant;
      readonly address?: string;
    }
  | { readonly kind: "store"; readonly target: Target }
  | { readonly kind: "metrics" }
);

const HEADER = "x-tabmq-call";

export function withCall(request: Request, call: ObjectCall): Request {
  const passed = new Request(request);
  passed.headers.set(HEADER, encodeURIComponent(JSON.stringify(call)));
  return passed;
}

/** The call, and the request as it came to the Worker. */
export function callOf(request: Request): { call: ObjectCall; passed: Request } | undefined {
  const text = request.headers.get(HEADER);
  if (text === null) return undefined;
  const passed = new Request(request);
  passed.headers.delete(HEADER);
  return { call: JSON.parse(decodeURIComponent(text)) as ObjectCall, passed };
}
