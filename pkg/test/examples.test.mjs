// The servers of examples/node, as processes of their own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { connectTo, post } from "./hub-server.mjs";

const EXAMPLES = join(import.meta.dirname, "../../examples/node");

for (const name of ["hub.js", "hub-hono.js"]) {
  test(`examples: ${name} serves pages, sockets and posts, and ends when asked`, async (t) => {
    const env = { ...process.env, PORT: "0" };
    const child = spawn(process.execPath, [join(EXAMPLES, name)], { env });
    t.after(() => child.kill("SIGKILL"));
    const errors = [];
    child.stderr.setEncoding("utf8").on("data", (text) => errors.push(text));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const line = async () => (await lines.next()).value;
    const http = await line();
    assert.equal(await (await fetch(`${http}/`)).text(), "the rest of the application\n");
    const posted = await post(`${http}/mq/shop/queues/orders`, "tea");
    assert.equal(posted.status, 202);
    assert.equal(await line(), "order: tea");
    const bus = await connectTo(t, `${http.replace("http:", "ws:")}/mq`);
    const receipt = await bus.queue("orders").send("milk", { confirm: "processed" });
    assert.equal(receipt.stored.at, "hub");
    assert.equal(await line(), "order: milk");
    const health = await (await fetch(`${http}/mq/health`)).json();
    assert.deepEqual(health, { status: "ok", buses: 1, sockets: 1, failed: 0 });
    child.kill("SIGTERM");
    const [code] = await once(child, "close");
    assert.deepEqual([code, errors.join("")], [0, ""]);
  });
}
