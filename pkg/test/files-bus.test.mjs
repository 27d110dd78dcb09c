// A bus over files: what survives, who is refused, and how what fails is told.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { connect, createBus } from "tabmq";

import { failOnce, startScript, temporaryFolder, WITHOUT_LOCK, withoutLock } from "./files.mjs";
import { all, events } from "./helpers.mjs";
import { internals } from "./internals.mjs";

async function open(t, storage, name, options) {
  const bus = await connect(name, { storage, ...options });
  t.after(() => bus.close());
  return bus;
}

const nameOf = () => `files-${randomUUID()}`;

test("what is sent is there after the process, at either level, and told so", async (t) => {
  const [folder, name] = [temporaryFolder(t), nameOf()];
  const bus = await open(t, folder, name);
  const { epoch, ...host } = bus.host.get();
  assert.deepEqual(host, {
    here: true,
    kind: "inline",
    storage: "files",
    durability: "strict",
    fenced: true,
    persisted: true,
    evictable: false,
    partitioned: undefined,
    private: undefined,
  });
  assert.equal(epoch, 1);
  const queue = bus.queue("jobs");
  for (const durability of ["relaxed", "strict"]) {
    const { stored } = await queue.send(durability, { durability });
    const { durability: _, ...kept } = internals.keepingOf(host);
    assert.deepEqual(stored, { at: "device", durability, ...kept });
  }
  const [first] = await queue.receive();
  await first.ack();
  await bus.close();
  const next = await open(t, folder, name);
  assert.equal(next.host.get().epoch, 2);
  assert.deepEqual((await all(next.queue("jobs").browse())).map(({ body }) => body), ["strict"]);
});

test("a host that is killed comes back with everything, in one process", async (t) => {
  const bus = await open(t, temporaryFolder(t), nameOf());
  for (let number = 0; number < 5; number += 1) await bus.queue("jobs").send(number);
  const gone = events(bus, "host");
  bus.admin.killHost();
  const [{ epoch }] = await gone;
  assert.equal(epoch, 2);
  const found = await all(bus.queue("jobs").browse());
  assert.deepEqual(found.map(({ body }) => body), [0, 1, 2, 3, 4]);
});

test("bodies beyond the memory of the host come back from the files", async (t) => {
  const limits = { resident_bytes_max: 1 << 20, chunk_bytes_max: 64 << 10 };
  const [folder, name] = [temporaryFolder(t), nameOf()];
  const bus = await open(t, folder, name, { limits });
  const body = "x".repeat(30_000);
  const numbers = Array.from({ length: 100 }, (_, number) => number);
  await Promise.all(numbers.map((number) => bus.queue("jobs").send(`${number} ${body}`)));
  await bus.close();
  const next = await open(t, folder, name, { limits });
  const consumer = next.queue("jobs").consume();
  const got = [];
  for await (const delivery of consumer) {
    got.push(Number.parseInt(delivery.body, 10));
    await delivery.ack();
    if (got.length === numbers.length) break;
  }
  assert.deepEqual(got, numbers);
});

test("buses and users have folders of their own", async (t) => {
  const folder = temporaryFolder(t);
  const name = `../${nameOf()}`;
  const one = await open(t, folder, name, { user: "ann" });
  const other = await open(t, folder, name, { user: "bob" });
  await one.queue("jobs").send(1);
  await other.queue("jobs").ready();
  assert.equal((await other.queue("jobs").info()).ready, 0);
  assert.equal(fs.readdirSync(folder).length, 2);
});

test("a second process is refused while the first lives, and may try again then", async (t) => {
  const [folder, name] = [temporaryFolder(t), nameOf()];
  const child = startScript(`
    import { connect } from "tabmq";
    const bus = await connect(${JSON.stringify(name)}, { storage: ${JSON.stringify(folder)} });
    await bus.queue("jobs").send("of the child");
    console.log("open");
    setInterval(() => {}, 1000);`);
  t.after(child.kill);
  assert.equal(await child.line(), "open");
  const refused = await connect(name, { storage: folder }).catch((error) => error);
  assert.equal(refused.code, "UNAVAILABLE");
  assert.equal(refused.retryable, true);
  assert.equal(refused.data.reason, "in use");
  assert.equal(refused.data.folder, join(folder, `bus-${name}`));
  assert.match(refused.message, /another process uses/);
  child.kill();
  await child.ended;
  const bus = await open(t, folder, name);
  const found = await all(bus.queue("jobs").browse());
  assert.deepEqual(found.map(({ body }) => body), ["of the child"]);
  await bus.close();
  // Once `close` has resolved the folder is free.
  const last = startScript(`
    import { connect } from "tabmq";
    const bus = await connect(${JSON.stringify(name)}, { storage: ${JSON.stringify(folder)} });
    console.log((await bus.queue("jobs").info()).ready);
    await bus.close();`);
  assert.deepEqual(await last.rest(), ["1"]);
});

test("without the lock the second fences the first, and all that waits settles", async (t) => {
  const [folder, name] = [temporaryFolder(t), nameOf()];
  const child = startScript(`${WITHOUT_LOCK}
    const { connect } = await import("tabmq");
    const bus = await connect(${JSON.stringify(name)}, { storage: ${JSON.stringify(folder)} });
    const told = (error) => console.log("error", error.code, error.data.reason);
    bus.addEventListener("error", ({ detail }) => told(detail));
    bus.addEventListener("status", ({ detail }) => console.log("status", detail));
    const queue = bus.queue("jobs");
    const receiving = queue.receive().catch((error) => console.log("receive", error.code));
    const serving = bus.serve("calc@1", {});
    const { closed } = serving;
    closed.addEventListener("abort", () => console.log("service", closed.reason.code));
    await queue.send("confirmed");
    await receiving;
    const waiting = queue.receive({ timeout: Infinity });
    waiting.catch((error) => console.log("waiting", error.code));
    console.log("open");
    for (let number = 0; ; number += 1) {
      const sending = queue.send(number, { durability: "strict", delay: "1h" });
      const sent = await sending.catch((error) => error);
      if (sent.code) {
        console.log("send", sent.code);
        break;
      }
    }
    await bus.queue("jobs").send(0).catch((error) => console.log("later", error.code));`);
  t.after(child.kill);
  assert.equal(await child.line(), "open");
  withoutLock(t);
  const bus = await open(t, folder, name);
  assert.equal(bus.host.get().epoch, 2);
  const lines = await child.rest();
  for (const line of [
    "error UNAVAILABLE fenced",
    "status closed",
    "send UNAVAILABLE",
    "waiting UNAVAILABLE",
    "service UNAVAILABLE",
    "later UNAVAILABLE",
  ]) {
    assert.ok(lines.includes(line), `${line} in ${lines.join(", ")}`);
  }
  assert.equal(lines.filter((line) => line.startsWith("error")).length, 1);
  const { ready, leased } = await bus.queue("jobs").info();
  assert.equal(ready + leased, 1, "what was confirmed to the first is here");
  await bus.queue("jobs").send("on");
});

test("a folder that can't be used is refused with what the system said", async (t) => {
  const folder = temporaryFolder(t);
  fs.writeFileSync(join(folder, "file"), "");
  const refused = await connect(nameOf(), { storage: join(folder, "file") }).catch((e) => e);
  assert.equal(refused.code, "STORAGE");
  assert.equal(refused.data.reason, "open");
  assert.equal(refused.cause.code, "ENOTDIR");
  failOnce(t, "access", "EACCES");
  failOnce(t, "access", "EACCES");
  failOnce(t, "access", "EACCES");
  const denied = await connect(nameOf(), { storage: folder }).catch((error) => error);
  assert.deepEqual([denied.code, denied.cause.code], ["STORAGE", "EACCES"]);
});

test("files that were damaged are refused, and left as they are", async (t) => {
  const [folder, name] = [temporaryFolder(t), nameOf()];
  const bus = await open(t, folder, name);
  for (let number = 0; number < 5; number += 1) await bus.queue("jobs").send(number);
  await bus.close();
  const inside = join(folder, `bus-${name}`);
  const file = fs.readdirSync(inside).find((entry) => entry.endsWith(".log"));
  const path = join(inside, file);
  const whole = fs.readFileSync(path);
  const damaged = Buffer.from(whole);
  damaged[Math.floor(whole.length / 2)] ^= 1;
  fs.writeFileSync(path, damaged);
  const refused = await connect(name, { storage: folder }).catch((error) => error);
  assert.deepEqual([refused.code, refused.data.reason], ["STORAGE", "corruption"]);
  assert.match(refused.message, /is damaged at byte \d+/);
  assert.deepEqual(fs.readFileSync(path), damaged);
  fs.writeFileSync(path, whole);
  const mended = await open(t, folder, name);
  assert.equal((await mended.queue("jobs").info()).ready, 5);
});

test("a full disk refuses sends with the reason quota, and may be emptied", async (t) => {
  const [folder, name] = [temporaryFolder(t), nameOf()];
  const bus = await open(t, folder, name);
  const queue = bus.queue("jobs");
  await queue.send("before");
  const full = events(bus, "storage");
  const before = fs.write;
  const large = 10_000;
  const refuse = t.mock.method(fs, "write", (...parameters) => {
    if (parameters[3] < large) return before.apply(fs, parameters);
    const error = Object.assign(new Error("no room"), { code: "ENOSPC" });
    return setImmediate(parameters.at(-1), error);
  });
  const refused = await queue.send("x".repeat(2 * large)).catch((error) => error);
  assert.deepEqual([refused.code, refused.data.reason], ["STORAGE", "quota"]);
  const [told] = await full;
  const kept = internals.keepingOf(bus.host.get());
  assert.deepEqual(told, { code: "STORAGE", reason: "quota", number: 1, ...kept });
  const [delivery] = await queue.receive();
  assert.equal(delivery.body, "before");
  await delivery.ack();
  refuse.mock.restore();
  await bus.close();
  const next = await open(t, folder, name);
  await next.queue("jobs").send("last");
  const bodies = (await all(next.queue("jobs").browse())).map(({ body }) => body);
  assert.equal(bodies.at(-1), "last");
  assert.ok(!bodies.includes("before"));
});

test("a disk without room to begin refuses the bus", async (t) => {
  t.mock.method(fs, "write", (...parameters) =>
    setImmediate(parameters.at(-1), Object.assign(new Error("no room"), { code: "ENOSPC" })),
  );
  const refused = await connect(nameOf(), { storage: temporaryFolder(t) }).catch((e) => e);
  assert.deepEqual([refused.code, refused.data.reason], ["STORAGE", "quota"]);
  assert.equal(refused.cause.code, "ENOSPC");
});

test("a sync that failed ends the host, and the next one has what was confirmed", async (t) => {
  const bus = await open(t, temporaryFolder(t), nameOf());
  const queue = bus.queue("jobs");
  await queue.send(1, { durability: "strict" });
  const changed = events(bus, "host");
  failOnce(t, "fdatasync", "EIO");
  await queue.send(2, { durability: "strict" });
  const [{ epoch }] = await changed;
  assert.ok(epoch > 1);
  const found = await all(queue.browse());
  assert.deepEqual(found.map(({ body }) => body), [1, 2], "sent again, and stored once");
});

test("a storage that always fails ends the bus with the code of it", async (t) => {
  const bus = await open(t, temporaryFolder(t), nameOf());
  const error = events(bus, "error");
  t.mock.method(fs, "fdatasync", (_, done) =>
    setImmediate(done, Object.assign(new Error("broken"), { code: "EIO" })),
  );
  const refused = await bus.queue("jobs").send(1, { durability: "strict" }).catch((e) => e);
  assert.equal(refused.code, "STORAGE");
  const [told] = await error;
  assert.deepEqual([told.code, told.cause.code], ["STORAGE", "EIO"]);
  assert.equal(bus.status.get(), "closed");
});

test("storage is a path, or a word", async (t) => {
  const folder = temporaryFolder(t);
  for (const storage of [1, null, {}, "", new URL("file:///data")])
    assert.throws(() => createBus(nameOf(), { storage }), { code: "INVALID" });
  const options = { storage: folder, host: "tab" };
  await assert.rejects(connect(nameOf(), options), { code: "UNSUPPORTED" });
});

test("what browsers load knows no files", () => {
  const dist = (name) => fs.readFileSync(new URL(`../dist/${name}`, import.meta.url), "utf8");
  assert.match(dist("node.js"), /fdatasync/);
  for (const name of ["browser.js", "workerd.js", "idb.js"])
    assert.doesNotMatch(dist(name), /fdatasync|node:fs/);
});

test("a runtime without files refuses a path", () => {
  assert.throws(() => internals.checkConnect({ storage: "./data" }), { code: "UNSUPPORTED" });
  assert.throws(() => internals.checkConnect({ storage: "" }), { code: "INVALID" });
});
