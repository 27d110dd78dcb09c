// What earlier builds have left in files is read.
import assert from "node:assert/strict";
import fs from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";

import { connect } from "tabmq";

import { temporaryFolder, withoutLock } from "./files.mjs";
import { all } from "./helpers.mjs";
import { internals } from "./internals.mjs";

const { FileStore, folderOf, keyOf } = internals;
const KINDS = { manifest: 0, chunk: 1, page: 2 };
/** The words of each line. */
function linesOf(path) {
  const text = fs.readFileSync(new URL(path, import.meta.url), "utf8");
  return text.trim().split("\n").map((line) => line.split(" "));
}
const hexOf = (number) => BigInt(number).toString(16).padStart(16, "0");

test("a log of the first format is read from files", async (t) => {
  withoutLock(t);
  const data = temporaryFolder(t);
  const name = basename(data);
  const lines = linesOf("../../tests/broker/format1.txt");
  const [, counter, incarnation] = lines.find(([kind]) => kind === "fence");
  const puts = lines.filter(([kind]) => kind !== "fence").map(([kind, number, bytes]) => {
    return { key: keyOf(KINDS[kind], Number(number)), bytes: Buffer.from(bytes, "hex") };
  });
  const store = new FileStore(folderOf(data, name, undefined));
  await store.open();
  await store.look();
  const claim = hexOf(counter) + hexOf(incarnation);
  await store.commit({ expect: undefined, claim, strict: true, puts, deletes: [] });
  await store.close();
  const codec = {
    encode: (text) => new TextEncoder().encode(text),
    decode: (bytes) => new TextDecoder().decode(bytes),
  };
  const bus = await connect(name, { storage: data, codec });
  t.after(() => bus.close());
  const bodies = (await all(bus.queue("work").browse())).map(({ body }) => body);
  // Of forty one was acknowledged and one rejected; whoever held four more is gone.
  const wanted = Array.from({ length: 38 }, (_, at) => `work ${at + 2}`);
  assert.deepEqual(bodies.sort(), wanted.sort());
  const dead = (await all(bus.queue("work.dead").browse())).map(({ body }) => body);
  assert.deepEqual(dead, ["work 1"]);
});

test("a folder that an earlier build wrote is read", async (t) => {
  const data = temporaryFolder(t);
  const folder = folderOf(data, "fixture", undefined);
  fs.mkdirSync(folder);
  for (const [name, bytes = ""] of linesOf("files-format1.txt"))
    fs.writeFileSync(join(folder, name), Buffer.from(bytes, "hex"));
  const bus = await connect("fixture", { storage: data });
  t.after(() => bus.close());
  assert.equal(bus.host.get().epoch, 3);
  const found = await all(bus.queue("jobs").browse());
  assert.deepEqual(found.map(({ body }) => body), [{ tea: 2 }, { tea: 3 }]);
});
