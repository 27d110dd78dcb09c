// As api.test-types.ts, for `tabmq/cloudflare`.
import { type CloudflareHub, createHub, type HubLogEntry } from "../../src/cloudflare.js";
import type { Bus } from "../../src/index.js";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function expect<_T extends true>(): void {}

interface Env {
  readonly SECRET: string;
}

export async function making(env: Env, request: Request): Promise<CloudflareHub<Env>> {
  const hub = createHub<Env>({
    binding: "HUB",
    origins: ["https://shop.example"],
    metrics: true,
    limits: { body_bytes_max: 1000 },
    authorize(asked, { bus, token, env: bound, renewal }) {
      expect<Equal<typeof asked, Request>>();
      expect<Equal<typeof bus, string>>();
      expect<Equal<typeof token, string | undefined>>();
      expect<Equal<typeof bound, Env>>();
      expect<Equal<typeof renewal, boolean>>();
      return { user: "ann", publish: ["#"] };
    },
    start(bus, { name, env: bound }) {
      expect<Equal<typeof bus, Bus>>();
      expect<Equal<typeof name, string>>();
      expect<Equal<typeof bound, Env>>();
    },
    log(entry) {
      expect<Equal<typeof entry, HubLogEntry>>();
    },
  });
  const response = await hub.fetch(request, env);
  expect<Equal<typeof response, Response>>();
  const bus = await hub.bus("shop", env);
  expect<Equal<typeof bus, Bus>>();
  class Mine extends hub.Object {}
  void Mine;
  // @ts-expect-error the binding has a name
  createHub<Env>({ authorize: "anonymous" });
  // @ts-expect-error an object has storage of its own
  createHub<Env>({ binding: "HUB", storage: "./data" });
  // @ts-expect-error a limit of servers
  createHub<Env>({ binding: "HUB", limits: { buses_max: 1 } });
  return hub;
}
