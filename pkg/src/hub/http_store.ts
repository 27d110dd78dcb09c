import { LIMITS } from "../limits.js";
import type { Bus } from "../types.js";
import type { Took } from "./http.js";
import { readBody } from "./http_body.js";
import { json } from "./http_failure.js";
import { messageOptions } from "./http_options.js";
import type { Target } from "./routes.js";

/** Where what a request brings is stored. */
export interface Destination {
  readonly target: Target;
  /** Bounds of the bus that were changed. */
  readonly limits: Readonly<Record<string, number>>;
  /** Aborts when the hub begins to close. */
  readonly closing: AbortSignal;
  readonly took?: Took | undefined;
  open(bus: string): Promise<Bus>;
}

/** Stores the message of a request, and says how safe it is. */
export async function storeMessage(request: Request, destination: Destination): Promise<Response> {
  const { target, limits, closing, took } = destination;
  const options = messageOptions(new URL(request.url).searchParams, request.headers);
  const bytes_max = limits["body_bytes_max"] ?? LIMITS.body_bytes_max;
  const body = await readBody(request, bytes_max, closing, took);
  const bus = await destination.open(target.bus);
  if (target.kind === "topics") {
    await bus.publish(target.name, body, options);
    return json(202, { at: "hub" });
  }
  const { id, duplicate, duplicateOf, stored } = await bus.queue(target.name).send(body, options);
  const { durability, persisted } = stored;
  return json(duplicate ? 200 : 202, {
    id,
    duplicate,
    ...(duplicateOf !== undefined && { duplicateOf }),
    stored: { at: "hub", durability, persisted },
  });
}
