// A process dies in each of its effects on the disk, and the next one finds what was confirmed.
import assert from "node:assert/strict";
import { basename } from "node:path";
import { test } from "node:test";

import { bodies, EFFECTS, SAY, startScript, temporaryFolder } from "./files.mjs";

/** Ends its process in the effect of this number, of which a write happens in half. */
const dying = (folder, number) => `${SAY}
  const { default: fs } = await import("node:fs");
  let count = 0;
  for (const name of ${JSON.stringify(EFFECTS)}) {
    const before = fs[name];
    fs[name] = (...parameters) => {
      count += 1;
      if (count < ${number}) return before.apply(fs, parameters);
      const [file, from, offset, length, position] = parameters;
      if (name === "write") fs.writeSync(file, from, offset, length >> 1, position);
      process.kill(process.pid, "SIGKILL");
    };
  }
  const { connect } = await import("tabmq");
  const storage = ${JSON.stringify(folder)};
  const bus = await connect("${basename(folder)}", { storage });
  const queue = bus.queue("jobs");
  for (const durability of ["relaxed", "strict"]) {
    await queue.send(durability, { durability });
    say("sent " + durability);
  }
  const [delivery] = await queue.receive();
  await delivery.ack();
  say("acknowledged " + delivery.body);
  await bus.close();
  say("closed");`;

async function judge(t, number) {
  const folder = temporaryFolder(t);
  const child = startScript(dying(folder, number));
  t.after(child.kill);
  const lines = await child.rest();
  await child.ended;
  const found = await bodies(folder);
  const said = (line) => lines.includes(line);
  const where = `death in effect ${number} after "${lines.join(", ")}": ${found.join(", ")}`;
  assert.equal(new Set(found).size, found.length, where);
  const sent = ["relaxed", "strict"].filter((body) => said(`sent ${body}`));
  const acknowledged = said("acknowledged relaxed");
  for (const body of sent) {
    // An acknowledgement without an answer may have been stored.
    const may_be_gone = body === "relaxed" && (acknowledged || sent.length === 2);
    assert.ok(found.includes(body) || may_be_gone, where);
  }
  if (acknowledged) assert.ok(!found.includes("relaxed"), where);
  return !said("closed");
}

test("a process dies in each of its effects on the disk", async (t) => {
  let number = 0;
  let died = true;
  const work = async () => {
    while (died) {
      number += 1;
      const here = number;
      if (!(await judge(t, here))) died = false;
    }
  };
  await Promise.all([work(), work()]);
  assert.ok(number > 25, `${number} effects`);
  t.diagnostic(`${number} deaths`);
});
