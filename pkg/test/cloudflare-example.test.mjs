// examples/cloudflare, bundled as its tools do it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { build } from "esbuild";

import { connectTo, startWorker } from "./cloudflare.mjs";
import { take } from "./helpers.mjs";
import { post } from "./hub-server.mjs";

const EXAMPLE = join(import.meta.dirname, "../../examples/cloudflare");

/** As wrangler bundles a Worker: by the conditions of its runtime, with wasm beside it. */
async function bundled() {
  const { outputFiles } = await build({
    entryPoints: [join(EXAMPLE, "worker.js")],
    bundle: true,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    external: ["*.wasm"],
    write: false,
  });
  return outputFiles[0].text;
}

test("cloudflare: the example works off orders, tells of them", async (t) => {
  const commented = readFileSync(join(EXAMPLE, "wrangler.jsonc"), "utf8");
  const settings = JSON.parse(commented.replaceAll(/^ *\/\/.*$/gm, ""));
  const { vars, durable_objects: objects, migrations, compatibility_date: date } = settings;
  const [{ name, class_name: className }] = objects.bindings;
  assert.deepEqual(migrations[0].new_sqlite_classes, [className]);
  const worker = await startWorker(t, {
    script: await bundled(),
    date,
    vars,
    objects: { [name]: { className, useSQLite: true } },
  });
  const page = await fetch(`${worker.http}/`);
  assert.equal(await page.text(), "the rest of the application\n");
  const hub = { url: `${worker.url}/mq`, token: vars.TOKEN };
  const bus = await connectTo(t, worker.url, "shop", { hub });
  const done = bus.subscribe("orders.done");
  await done.ready();
  const authorization = `Bearer ${vars.TOKEN}`;
  const posted = await post(`${worker.http}/mq/shop/queues/orders`, "tea", { authorization });
  assert.equal(posted.status, 202);
  assert.equal((await take(done, 1))[0].body, "tea");
  const counts = await (await fetch(`${worker.http}/orders`)).json();
  assert.deepEqual(counts, { ready: 0 });
  assert.equal((await post(`${worker.http}/mq/shop/queues/orders`, "tea")).status, 403);
});
