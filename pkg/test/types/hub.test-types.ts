// As api.test-types.ts, for `tabmq/node`.
import {
  createHub,
  type Grant,
  HUB_LIMITS,
  type Hub,
  type HubLogEntry,
  jwt,
  type JwtClaims,
  serveHub,
} from "../../src/hub.js";
import { type Bus, connect } from "../../src/index.js";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function expect<_T extends true>(): void {}

export async function making(): Promise<Hub> {
  const hub = createHub({
    authorize: "anonymous",
    origins: ["https://shop.example"],
    storage: "./data",
    metrics: true,
    limits: { user_sockets_max: HUB_LIMITS.user_sockets_max, body_bytes_max: 1000 },
    start(bus, { name }) {
      expect<Equal<typeof bus, Bus>>();
      expect<Equal<typeof name, string>>();
    },
    log(entry) {
      expect<Equal<typeof entry, HubLogEntry>>();
      if (entry.event === "disconnected") expect<Equal<typeof entry.reason, string>>();
      if (entry.event === "limited") {
        expect<Equal<typeof entry.user, string | undefined>>();
        // @ts-expect-error how long a hub waits is nothing that somebody exceeds
        if (entry.limit === "drain_ms") void entry;
      }
      // @ts-expect-error who is turned away has no socket
      if (entry.event === "refused") void entry.socket;
    },
  });
  createHub({
    authorize(_, { env }) {
      expect<Equal<typeof env, Readonly<Record<string, string | undefined>>>>();
      return { user: "ann" };
    },
  });
  const bound = createHub<{ readonly secret: string }>({
    authorize(_, { env }) {
      expect<Equal<typeof env.secret, string>>();
      return { user: "ann" };
    },
  });
  await bound.fetch(new Request("http://hub.test/health"), { secret: "" });
  // @ts-expect-error an option that there is not
  createHub({ logs: console.log });
  // @ts-expect-error it is a function or "anonymous"
  createHub({ authorize: "everybody" });
  return hub;
}

export function verifying(): Hub {
  const checks = { issuer: "https://login.example", audience: ["shop", "bank"] };
  const authorize = jwt({
    ...checks,
    jwks: new URL("https://login.example/jwks"),
    jwksMaxAge: "10m",
    grant(claims, { bus }) {
      expect<Equal<typeof claims, JwtClaims>>();
      expect<Equal<typeof claims.sub, string>>();
      expect<Equal<typeof claims.roles, unknown>>();
      return bus === "shop" ? { publish: ["orders.#"] } : { user: "nobody" };
    },
  });
  expect<Equal<Awaited<ReturnType<typeof authorize>>, Grant>>();
  const grant = () => ({});
  jwt({ ...checks, grant, secret: new Uint8Array(32) });
  // @ts-expect-error one of the two
  jwt({ ...checks, grant, secret: "", jwks: "" });
  // @ts-expect-error one of the two
  jwt({ ...checks, grant });
  // @ts-expect-error whose tokens are meant
  jwt({ audience: "shop", grant, secret: "" });
  return createHub({ authorize });
}

export async function serving(hub: Hub): Promise<void> {
  await using served = await serveHub({ hub, port: 0, host: "127.0.0.1" });
  const { url, port } = served;
  expect<Equal<typeof url, string>>();
  expect<Equal<typeof port, number>>();
  await connect("shop", { hub: { url: [url], token: async () => "a token" } });
  // @ts-expect-error a hub is named by an address
  await connect("shop", { hub: port });
}

export async function answering(hub: Hub): Promise<void> {
  // Without the hub in front of them, as servers want it.
  const { fetch, upgrade, request } = hub;
  expect<Equal<Awaited<ReturnType<typeof fetch>>, Response>>();
  await fetch(new Request("http://localhost/health"));
  await fetch(new Request("http://localhost/health"), { incoming: {} });
  // @ts-expect-error it is not asked for by its address
  await fetch("http://localhost/health");
  void [upgrade, request];
}
