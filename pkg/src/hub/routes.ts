/** Where a message goes. */
export interface Target {
  readonly kind: "topics" | "queues";
  readonly bus: string;
  readonly name: string;
}

/** What a path asks for. */
export type Route = Target | { readonly kind: "health" } | { readonly kind: "metrics" };

const READS = ["GET", "HEAD"];
/** The methods of each kind of path. */
export const METHODS: { readonly [kind in Route["kind"]]: readonly string[] } = {
  health: READS,
  metrics: READS,
  topics: ["POST"],
  queues: ["POST"],
};

/** A hub may be mounted below any path, so the end of it counts. */
export function routeOf(pathname: string): Route | undefined {
  const parts = pathname.split("/");
  const [bus, kind, name] = parts.slice(-3);
  if (kind === "topics" || kind === "queues") {
    const named = [bus, name].map(decode);
    return named[0] && named[1] ? { kind, bus: named[0], name: named[1] } : undefined;
  }
  const last = parts.at(-1);
  return last === "health" || last === "metrics" ? { kind: last } : undefined;
}

/** A part of a path; nothing if it is not well formed. */
export function decode(part: string | undefined): string | undefined {
  try {
    return part && decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
