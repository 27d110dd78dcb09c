// Fresh applications with the tarball in Deno or Bun, whichever is named: one that uses everything,
// and processes over files that are killed and that meet, with the courtesy of locks and without.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { AT_HUB, useEverythingAtHub } from "./at_hub.mjs";
import { freshApp, pack, temporaryFolder } from "./pack.mjs";

const ROOT = new URL("../../", import.meta.url).pathname;
const KILLS = 4;
const IN_FLIGHT = 16;
/** Deno gets the permissions that the files need, and no other. */
const FLAGS = {
  deno: ["run", "--no-prompt", "--allow-read", "--allow-write", "--node-modules-dir=manual"],
  bun: ["run"],
};
const FLAGS_AT_HUB = {
  deno: [...FLAGS.deno, "--allow-net=127.0.0.1"],
  bun: ["run"],
};
const [name] = process.argv.slice(2);
const program = join(ROOT, "node_modules/.bin", name);
const { tarball } = pack();
const app = freshApp(name, tarball, {
  "app.js": readFileSync(new URL("app.js", import.meta.url), "utf8"),
  "value-cases.js": readFileSync(new URL("../test/value-cases.mjs", import.meta.url), "utf8"),
  "main.js": `import { useEverything } from "./app.js";
    console.log(JSON.stringify(await useEverything()));`,
  "at-hub.js": AT_HUB,
  "without-lock.js": `
    import net from "node:net";
    if (globalThis.Deno) Deno.FsFile.prototype.tryLock = async () => true;
    else net.Server.prototype.listen = function (_, done) { done(); return this; };`,
  "send.js": `
    import { connect } from "tabmq";
    const [storage, first, durability] = JSON.parse(process.argv.at(-1));
    const bus = await connect("smoke", { storage });
    const { storage: kind, durability: level } = bus.host.get();
    bus.addEventListener("error", ({ detail }) => {
      console.log("ended " + detail.code + " " + detail.data.reason);
      process.exit(0);
    });
    console.log("open " + kind + " " + level);
    let next = first;
    const send = async () => {
      for (;;) {
        const number = next++;
        await bus.queue("jobs").send(number, { durability });
        console.log("sent " + number);
      }
    };
    for (let count = 0; count < ${IN_FLIGHT}; count++) send().catch(() => {});`,
  "send-alone.js": `import "./without-lock.js"; await import("./send.js");`,
  "read.js": `
    import { connect } from "tabmq";
    const bus = await connect("smoke", { storage: JSON.parse(process.argv.at(-1))[0] });
    const bodies = [];
    for await (const { body } of bus.queue("jobs").browse()) bodies.push(body);
    console.log(JSON.stringify(bodies));
    await bus.close();
    process.exit(0);`,
  "refused.js": `
    import { connect } from "tabmq";
    const refused = await connect("smoke", { storage: JSON.parse(process.argv.at(-1))[0] })
      .catch(({ code, data }) => code + " " + data.reason);
    console.log(refused);
    process.exit(0);`,
});
/** What is run, and for how long at most. */
const limits = { cwd: app, encoding: "utf8", timeout: 60_000 };
const run = (script, ...words) =>
  execFileSync(program, [...FLAGS[name], `${script}.js`, JSON.stringify(words)], limits).trim();

const children = new Set();
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));

/** A process that says line by line what it has done. */
function start(script, ...words) {
  const child = spawn(program, [...FLAGS[name], `${script}.js`, JSON.stringify(words)], {
    cwd: app,
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.add(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = once(child, "close").then(() => children.delete(child));
  return {
    line: async () => (await lines.next()).value,
    kill: () => child.kill("SIGKILL"),
    rest: async () => {
      const rest = [];
      for await (const line of lines) rest.push(line);
      await ended;
      return rest;
    },
  };
}

const numbers = (lines) =>
  lines.filter((line) => line.startsWith("sent ")).map((line) => Number(line.slice(5)));

/** Everything confirmed is there, and nothing twice. */
function check(found, confirmed) {
  assert.equal(new Set(found).size, found.length, "nothing is there twice");
  const there = new Set(found);
  assert.deepEqual(confirmed.filter((number) => !there.has(number)), [], "nothing is lost");
}

function useEverything() {
  const { lines, failures, count, storage, durability } = JSON.parse(run("main"));
  assert.deepEqual(lines, ["heard 3", "processed photo.jpg", "called 5"]);
  assert.deepEqual(failures, []);
  assert.ok(count > 30);
  assert.deepEqual([storage, durability], ["memory", "memory"]);
}

/** Processes are killed while they send, one after the other over one folder. */
async function killed(alone) {
  const folder = temporaryFolder(name);
  const confirmed = [];
  for (let kill = 0; kill < KILLS; kill += 1) {
    const level = kill % 2 ? "strict" : "relaxed";
    const child = start(`send${alone}`, folder, (kill + 1) * 100_000, level);
    assert.equal(await child.line(), "open files strict");
    const lines = [];
    while (lines.length < 20 + 17 * kill) lines.push(await child.line());
    child.kill();
    confirmed.push(...numbers([...lines, ...(await child.rest())]));
  }
  check(JSON.parse(run("read", folder)), confirmed);
}

/** A second process is refused while the first has the folder. */
async function refused() {
  const folder = temporaryFolder(name);
  const child = start("send", folder, 0, "relaxed");
  assert.equal(await child.line(), "open files strict");
  assert.equal(run("refused", folder), "UNAVAILABLE in use");
  child.kill();
  check(JSON.parse(run("read", folder)), numbers(await child.rest()));
}

/** With no lock the second one takes the folder over, and the first one ends. */
async function fenced() {
  const folder = temporaryFolder(name);
  const first = start("send-alone", folder, 100_000, "relaxed");
  const before = [await first.line(), await first.line()];
  const second = start("send-alone", folder, 200_000, "relaxed");
  const after = [await second.line()];
  const ended = await first.rest();
  assert.equal(ended.at(-1), "ended UNAVAILABLE fenced");
  while (after.length < 50) after.push(await second.line());
  second.kill();
  const confirmed = numbers([...before, ...ended, ...after, ...(await second.rest())]);
  check(JSON.parse(run("read", folder)), confirmed);
}

useEverything();
await useEverythingAtHub(program, FLAGS_AT_HUB[name], app);
await killed("");
await killed("-alone");
await refused();
await fenced();
console.log("6 passed, 0 failed");
