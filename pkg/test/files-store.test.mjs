// The storage in files is held to the list that all storages are held to, and to what only a disk
// can do: tear, flip, run full, fail to sync, and lose its writer in the middle of anything.
import assert from "node:assert/strict";
import fs from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { crc32 } from "node:zlib";

import { bytes, epoch, half, performStep, text } from "./conformance.mjs";
import { EFFECTS, failOnce, temporaryFolder, withoutLock } from "./files.mjs";
import { internals } from "./internals.mjs";

const { FileStore, keyOf, MANIFEST, PLACEHOLDER } = internals;
const SCENARIOS = JSON.parse(
  fs.readFileSync(new URL("../../tests/log/conformance.json", import.meta.url), "utf8"),
);

const chunk = (number) => keyOf(1, number);

async function openStore(t, folder) {
  const store = new FileStore(folder);
  await store.open();
  t.after(() => store.close().catch(() => {}));
  return store;
}

/** A store that has claimed the folder and looked at it again, as the core does. */
async function claimed(t, folder, number) {
  const store = await openStore(t, folder);
  const { fence, manifest } = await store.look();
  const puts = manifest ? [] : [{ key: MANIFEST, bytes: bytes("log") }];
  await store.commit({ expect: fence, claim: epoch(number), strict: true, puts, deletes: [] });
  await store.look();
  return store;
}

const putOf = (at, value) => ({ key: at, bytes: bytes(value) });

const commitOf = (number, puts, deletes = [], strict = false) => ({
  expect: epoch(number),
  claim: undefined,
  strict,
  puts: Object.entries(puts).map(([name, value]) => putOf(chunk(Number(name)), value)),
  deletes: deletes.map(chunk),
});

const put = (store, number, puts, deletes, strict) =>
  store.commit(commitOf(number, puts, deletes, strict));

/** All chunks, as text. */
async function chunks(store) {
  const numbers = store.list();
  const values = await store.read(numbers.map(chunk));
  return Object.fromEntries(numbers.map((number, at) => [number, text(values[at])]));
}

test("files do what every storage does", async (t) => {
  withoutLock(t);
  for (const { name, steps } of SCENARIOS) {
    const folder = temporaryFolder(t);
    const stores = { a: await openStore(t, folder), b: await openStore(t, folder) };
    for (const [writer, action, given, wanted] of steps) {
      if (action === "reopen") {
        await stores[writer].close();
        stores[writer] = await openStore(t, folder);
        continue;
      }
      const got = await performStep(stores[writer], keyOf, action, given);
      assert.deepEqual(got, wanted, `${name}: ${writer} ${action} ${JSON.stringify(given)}`);
    }
  }
});

test("a claim that comes behind another of the same fence is refused", async (t) => {
  withoutLock(t);
  const folder = temporaryFolder(t);
  const [one, other] = [await openStore(t, folder), await openStore(t, folder)];
  const claim = (store, number, manifest) => {
    const puts = [{ key: MANIFEST, bytes: bytes(manifest) }];
    const claimed_epoch = half(1) + half(number);
    return store.commit({ claim: claimed_epoch, strict: true, puts, deletes: [] });
  };
  for (const store of [one, other]) await store.look();
  // The first claims while the second is about to, and both have seen an empty folder.
  const { open } = fs;
  let between = true;
  t.mock.method(fs, "open", (path, ...parameters) => {
    if (!path.endsWith(`${half(2)}.claim`) || !between) return open(path, ...parameters);
    between = false;
    return claim(one, 1, "first").then(() => open(path, ...parameters));
  });
  await assert.rejects(claim(other, 2, "second"), { fault: "fenced" });
  assert.equal(between, false);
  await assert.rejects(put(one, 0, { 1: "lost" }), { fault: "fenced" });
  assert.equal(text((await other.look()).manifest), "first");
});

/** The newest segment of a folder. */
function newest(folder) {
  const names = fs.readdirSync(folder).filter((name) => name.endsWith(".log"));
  return join(folder, names.sort().at(-1));
}

/** Copies a folder, so that each case damages a fresh one. */
function copyOf(t, folder) {
  const copy = temporaryFolder(t);
  fs.cpSync(folder, copy, { recursive: true });
  return copy;
}

test("a last block that is not whole is cut, wherever it was torn", async (t) => {
  withoutLock(t);
  const folder = temporaryFolder(t);
  const store = await claimed(t, folder, 1);
  await put(store, 1, { 1: "one" }, [], true);
  await put(store, 1, { 2: "two" });
  const whole = fs.statSync(newest(folder)).size;
  await put(store, 1, { 3: "three" }, [1]);
  const bytes_of_all = fs.readFileSync(newest(folder));
  // The last three are zeros, which are part of no value.
  const complete = bytes_of_all.length - 3;
  const within = Array.from({ length: 8 }, (_, part) => whole + 8 * part);
  for (const length of [...within, complete - 1, complete, bytes_of_all.length]) {
    for (const tail of [Buffer.alloc(0), Buffer.alloc(bytes_of_all.length - length)]) {
      const copy = copyOf(t, folder);
      fs.writeFileSync(newest(copy), Buffer.concat([bytes_of_all.subarray(0, length), tail]));
      const next = await claimed(t, copy, 2);
      const wanted = length >= complete ? { 2: "two", 3: "three" } : { 1: "one", 2: "two" };
      assert.deepEqual(await chunks(next), wanted, `torn at ${length}`);
      await put(next, 2, { 3: "again" }, [], true);
      await next.close();
      const last = await openStore(t, copy);
      assert.deepEqual(await chunks(last), { ...wanted, 3: "again" }, `torn at ${length}`);
      await last.close();
    }
  }
});

test("what power takes of what was not synced is its end, never its middle", async (t) => {
  withoutLock(t);
  const folder = temporaryFolder(t);
  const store = await claimed(t, folder, 1);
  await put(store, 1, { 1: "1" }, [], true);
  const synced = fs.statSync(newest(folder)).size;
  for (let number = 2; number <= 6; number += 1) await put(store, 1, { [number]: `${number}` });
  const all = fs.readFileSync(newest(folder));
  for (let lost = synced; lost < all.length; lost += 16) {
    const copy = copyOf(t, folder);
    const damaged = Buffer.from(all);
    damaged.fill(0, lost, lost + 16);
    fs.writeFileSync(newest(copy), damaged);
    const next = await claimed(t, copy, 2);
    const numbers = Object.keys(await chunks(next)).map(Number);
    assert.deepEqual(numbers, Array.from({ length: numbers.length }, (_, at) => at + 1));
    assert.ok(numbers.length >= 1, "what was synced is there");
    await next.close();
  }
});

test("a bit that flips in what was closed is noticed, or changes nothing", async (t) => {
  withoutLock(t);
  const folder = temporaryFolder(t);
  const store = await claimed(t, folder, 1);
  await put(store, 1, { 1: "one", 2: "two" }, [], true);
  await put(store, 1, { 3: "three" }, [1]);
  await store.close();
  const wanted = { 2: "two", 3: "three" };
  const file = newest(folder);
  const whole = fs.readFileSync(file);
  let noticed = 0;
  for (let at = 0; at < whole.length; at += 1) {
    const damaged = Buffer.from(whole);
    damaged[at] ^= 1 << at % 8;
    fs.writeFileSync(file, damaged);
    const next = new FileStore(folder);
    const refused = await next.open().then(
      () => false,
      ({ reason }) => reason,
    );
    const { manifest } = refused ? {} : await next.look();
    if (refused || manifest?.length === 0) noticed += 1;
    else assert.deepEqual([text(manifest), await chunks(next)], ["log", wanted], `byte ${at}`);
    await next.close();
  }
  fs.writeFileSync(file, whole);
  assert.ok(noticed > whole.length / 2, `${noticed} of ${whole.length} were noticed`);
});

test("a value whose file is gone is missing, and is not taken for a new one", async (t) => {
  withoutLock(t);
  const folder = temporaryFolder(t);
  const first = await claimed(t, folder, 1);
  const large = "x".repeat(10_000);
  await put(first, 1, { 1: large }, [], true);
  await first.close();
  const second = await claimed(t, folder, 2);
  await put(second, 2, { 2: "two" }, [], true);
  await second.close();
  const [older] = fs.readdirSync(folder).filter((name) => name.endsWith(".log")).sort();
  fs.unlinkSync(join(folder, older));
  const third = await openStore(t, folder);
  assert.deepEqual(third.list(), [1, 2]);
  assert.deepEqual(await chunks(third), { 1: null, 2: "two" });
  // Its manifest lay there as well.
  assert.equal((await third.look()).manifest.length, 0);
});

test("a full disk changes nothing, and what was asked may be asked again", async (t) => {
  withoutLock(t);
  const folder = temporaryFolder(t);
  const store = await claimed(t, folder, 1);
  await put(store, 1, { 1: "one" });
  const before = fs.readFileSync(newest(folder));
  for (const code of ["ENOSPC", "EDQUOT"]) {
    // A part fits.
    t.mock.method(fs, "write", (file, from, offset, length, position, done) => {
      if (length <= 8) return setImmediate(done, Object.assign(new Error(code), { code }));
      const written = fs.writeSync(file, from, offset, length >> 1, position);
      return setImmediate(done, null, written);
    });
    await assert.rejects(put(store, 1, { 2: "two" }, [1]), { fault: "quota" });
    t.mock.restoreAll();
    withoutLock(t);
    assert.deepEqual(fs.readFileSync(newest(folder)), before);
    assert.deepEqual(await chunks(store), { 1: "one" });
  }
  await put(store, 1, { 2: "two" }, [1]);
  assert.deepEqual(await chunks(store), { 2: "two" });
});

test("a write that fails for another reason changes nothing either", async (t) => {
  withoutLock(t);
  const store = await claimed(t, temporaryFolder(t), 1);
  failOnce(t, "write", "EIO");
  await assert.rejects(put(store, 1, { 1: "one" }), { fault: "aborted" });
  await put(store, 1, { 1: "one" });
  assert.deepEqual(await chunks(store), { 1: "one" });
});

test("a write that can't be taken back is the last one", async (t) => {
  withoutLock(t);
  const store = await claimed(t, temporaryFolder(t), 1);
  failOnce(t, "write", "ENOSPC");
  failOnce(t, "ftruncate", "EIO");
  await assert.rejects(put(store, 1, { 1: "one" }), { fault: "lost" });
  await assert.rejects(put(store, 1, { 1: "one" }), { fault: "lost" });
});

test("a disk without room for a new epoch gets that of the placeholder", async (t) => {
  withoutLock(t);
  const folder = temporaryFolder(t);
  const first = await claimed(t, folder, 1);
  const room = { key: PLACEHOLDER, bytes: new Uint8Array(1000) };
  await first.commit({ ...commitOf(1, { 1: "one" }), puts: [room] });
  await put(first, 1, { 1: "one" }, [], true);
  await first.close();
  assert.ok(fs.existsSync(join(folder, "reserve")));
  const failed = failOnce(t, "write", "ENOSPC");
  const second = await claimed(t, folder, 2);
  assert.ok(failed());
  assert.deepEqual(second.list(), [1]);
  assert.ok(!fs.existsSync(join(folder, "reserve")));
  await put(second, 2, { 2: "two" });
  assert.deepEqual(await chunks(second), { 1: "one", 2: "two" });
});

test("after a sync that failed nothing is written any more", async (t) => {
  withoutLock(t);
  const folder = temporaryFolder(t);
  const store = await claimed(t, folder, 1);
  await put(store, 1, { 1: "one" }, [], true);
  failOnce(t, "fdatasync", "EIO");
  await assert.rejects(put(store, 1, { 2: "two" }, [], true), { fault: "lost" });
  const { size } = fs.statSync(newest(folder));
  for (const strict of [false, true])
    await assert.rejects(put(store, 1, { 3: "three" }, [], strict), { fault: "lost" });
  await store.close();
  assert.equal(fs.statSync(newest(folder)).size, size);
  const next = await claimed(t, folder, 2);
  assert.deepEqual(await chunks(next), { 1: "one", 2: "two" }, "it was written, as it happens");
});

test("what a sync that failed has left is copied, for the disk may not have it", async (t) => {
  withoutLock(t);
  const folder = temporaryFolder(t);
  const store = await claimed(t, folder, 1);
  await put(store, 1, { 1: "one" }, [], true);
  const synced = fs.statSync(newest(folder)).size;
  failOnce(t, "fdatasync", "EIO");
  await assert.rejects(put(store, 1, { 2: "two" }, [], true), { fault: "lost" });
  const older = newest(folder);
  const next = await claimed(t, folder, 2);
  await next.close();
  // The system showed it, and forgets it now.
  if (fs.existsSync(older)) fs.truncateSync(older, synced);
  const last = await openStore(t, folder);
  assert.deepEqual(await chunks(last), { 1: "one", 2: "two" });
  // What a file had when it got its name can't have been torn.
  const file = newest(folder);
  fs.truncateSync(file, fs.statSync(file).size - 16);
  assert.equal((await (await openStore(t, folder)).look()).manifest.length, 0);
});

test("segments end, sparse ones are copied, and dead ones go", { timeout: 60_000 }, async (t) => {
  withoutLock(t);
  const folder = temporaryFolder(t);
  let store = await claimed(t, folder, 1);
  const large = "x".repeat(200_000);
  const wanted = {};
  for (let number = 1; number <= 200; number += 1) {
    // One in ten stays.
    const gone = number - 20;
    const deletes = gone > 0 && gone % 10 ? [gone] : [];
    for (const old of deletes) delete wanted[old];
    wanted[number] = `${number}${large}`;
    await put(store, 1, { [number]: wanted[number] }, deletes, number % 20 === 0);
    await store.tidy();
  }
  assert.deepEqual(await chunks(store), wanted);
  const sizes = () =>
    fs.readdirSync(folder).reduce((sum, name) => sum + fs.statSync(join(folder, name)).size, 0);
  const live = Object.keys(wanted).length * large.length;
  assert.ok(sizes() < 2 * live + (8 << 20), `${sizes()} bytes for ${live}`);
  await store.close();
  store = await claimed(t, folder, 2);
  assert.deepEqual(await chunks(store), wanted);
  await put(store, 2, {}, Object.keys(wanted).map(Number), true);
  // One after the other is copied out of or removed.
  for (let turn = 0; turn < 5; turn += 1) await store.tidy();
  assert.deepEqual(store.list(), []);
  assert.ok(sizes() < 1 << 20, `${sizes()} bytes for nothing`);
});

/** Stands still for good in the effect of this number, of which a write happens in half. */
function dieAt(t, number) {
  let count = 0;
  let tell;
  const died = new Promise((resolve) => (tell = resolve));
  // With what is read, too: it tells whether a write may be confirmed.
  for (const name of [...EFFECTS, "readdir"]) {
    const before = fs[name];
    t.mock.method(fs, name, (...parameters) => {
      count += 1;
      if (count < number) return before.apply(fs, parameters);
      if (count > number) return undefined;
      if (name === "write") {
        const [file, from, offset, length, position] = parameters;
        fs.writeSync(file, from, offset, length >> 1, position);
      }
      return tell(true);
    });
  }
  return died;
}

/** Claims, writes, takes a new segment's worth of turns; `told` has what was confirmed. */
async function work(t, folder, told) {
  const store = await claimed(t, folder, 2);
  for (let number = 2; number <= 4; number += 1) {
    await put(store, 2, { [number]: `${number}` }, number === 4 ? [1] : [], number !== 3);
    told.push(number);
    await store.tidy();
  }
  await store.close();
}

test("a writer may die in any effect: what was confirmed is there", async (t) => {
  withoutLock(t);
  const origin = temporaryFolder(t);
  const first = await claimed(t, origin, 1);
  await put(first, 1, { 1: "1" }, [], true);
  await first.close();
  let number = 0;
  for (let died = true; died; ) {
    number += 1;
    const folder = copyOf(t, origin);
    const told = [];
    const death = dieAt(t, number);
    died = await Promise.race([death, work(t, folder, told).then(() => false)]);
    t.mock.restoreAll();
    withoutLock(t);
    const next = await claimed(t, folder, 3);
    const found = await chunks(next);
    // All that was told, and of what was under way all or nothing.
    const states = ["1", "1 2", "1 2 3", "2 3 4"];
    const at = states.indexOf(Object.values(found).join(" "));
    assert.ok([0, 1].includes(at - told.length), `effect ${number}: ${JSON.stringify(found)}`);
    await put(next, 3, { 9: "9" }, [], true);
    await next.close();
    const last = await openStore(t, folder);
    assert.deepEqual(await chunks(last), { ...found, 9: "9" });
    await last.close();
  }
  assert.ok(number > 25, `${number} effects`);
});

test("a folder of a newer format is left as it is", async (t) => {
  withoutLock(t);
  const folder = temporaryFolder(t);
  await (await claimed(t, folder, 1)).close();
  const file = newest(folder);
  const whole = fs.readFileSync(file);
  whole.writeUInt16LE(internals.FORMAT + 1, 4);
  whole.writeUInt32LE(crc32(whole.subarray(0, 28), internals.saltOf(basename(file))), 28);
  fs.writeFileSync(file, whole);
  const names = fs.readdirSync(folder);
  await assert.rejects(new FileStore(folder).open(), { reason: "format" });
  assert.deepEqual(fs.readdirSync(folder), names);
  assert.deepEqual(fs.readFileSync(file), whole);
});

test("no two buses or users share a folder, and no name leads out of it", () => {
  const { folderOf } = internals;
  const names = [
    ["shop", undefined],
    ["shop", ""],
    ["shop", "ann"],
    ["shop@ann", undefined],
    ["Shop", undefined],
    ["../shop", undefined],
    ["shop/ann", undefined],
    ["%73hop", undefined],
    ["l\u00e4den", undefined],
    ["x".repeat(255), undefined],
    ["x".repeat(254), undefined],
    ["x".repeat(255), "y".repeat(255)],
  ];
  const folders = names.map(([bus, user]) => folderOf("/data", bus, user));
  assert.equal(new Set(folders.map((folder) => folder.toLowerCase())).size, names.length);
  for (const folder of folders) assert.match(folder, /^\/data\/[a-z0-9_%@~-]{1,200}$/);
  assert.equal(folders[2], "/data/bus-shop@ann");
});
