// Fresh Node applications with the tarball, installed with no network: one that uses everything,
// and the examples: a queue that outlives its processes, and a hub, to which the commands speak.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { AT_HUB, useEverythingAtHub } from "./at_hub.mjs";
import { freshApp, pack } from "./pack.mjs";

const { tarball } = pack();
const app = freshApp("node", tarball, {
  "app.js": readFileSync(new URL("app.js", import.meta.url), "utf8"),
  "value-cases.js": readFileSync(new URL("../test/value-cases.mjs", import.meta.url), "utf8"),
  "at-hub.js": AT_HUB,
  "main.js": `import { useEverything } from "./app.js";
    console.log(JSON.stringify(await useEverything()));`,
});
const output = execFileSync(process.execPath, ["main.js"], {
  cwd: app,
  encoding: "utf8",
  timeout: 60_000,
});
const { lines, failures, count, storage, durability } = JSON.parse(output);
assert.deepEqual(lines, ["heard 3", "processed photo.jpg", "called 5"]);
assert.deepEqual(failures, []);
assert.ok(count > 30);
assert.equal(storage, "memory");
assert.equal(durability, "memory");

await useEverythingAtHub(process.execPath, [], app);

const source = (name) =>
  readFileSync(new URL(`../../examples/node/${name}`, import.meta.url), "utf8");
const files = { "main.js": source("main.js"), "hub.js": source("hub.js") };
const example = freshApp("example", tarball, files);
const run = (...words) =>
  execFileSync(process.execPath, ["main.js", ...words], {
    cwd: example,
    encoding: "utf8",
    timeout: 60_000,
  });
assert.equal(run("add", "tea", "milk"), "2 stored\n");
assert.equal(run(), "tea, attempt 1\nmilk, attempt 1\n");
assert.equal(run(), "");

const command = join(example, "node_modules/.bin/tabmq");
const { version } = JSON.parse(source("../../pkg/package.json"));
assert.equal(execFileSync(command, ["--version"], { encoding: "utf8" }), `${version}\n`);
const stdio = ["ignore", "pipe", "inherit"];
const env = { ...process.env, PORT: "0" };
const hub = spawn(process.execPath, ["hub.js"], { cwd: example, env, stdio });
process.on("exit", () => hub.kill("SIGKILL"));
const told = createInterface({ input: hub.stdout })[Symbol.asyncIterator]();
const { value: http } = await told.next();
const url = `${http.replace("http:", "ws:")}/mq`;
const words = ["queue", "send", "shop", "orders", "tea", "--hub", url, "--id", "1"];
assert.equal(execFileSync(command, words, { encoding: "utf8", timeout: 60_000 }), "1\n");
assert.equal((await told.next()).value, "order: tea");
hub.kill("SIGTERM");
assert.ok((await told.next()).done);
console.log("3 passed, 0 failed");
