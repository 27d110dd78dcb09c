// Producers that send ten times what is taken.
import assert from "node:assert/strict";
import { test } from "node:test";

import { all, connectBus, until } from "./helpers.mjs";

const LIMIT = 40;
const SENDS = 2000;
const BODY = "x".repeat(200);
/** Each body takes more than its text. */
const BYTES = LIMIT * 240;

for (const overflow of ["reject", "drop-oldest", "dead-letter"]) {
  for (const bound of [{ maxLength: LIMIT }, { maxBytes: BYTES }]) {
    const [name] = Object.keys(bound);
    test(`overload: ${overflow} at ${name} accounts for every message`, async (t) => {
      const bus = await connectBus(t, { limits: { advisories_max: 100_000 } });
      const jobs = bus.queue("jobs", { ...bound, overflow });
      await jobs.ready();
      const most = name === "maxLength" ? LIMIT : Math.floor(BYTES / BODY.length);
      const dropped = [];
      bus.subscribe("$tabmq.queue.discarded.jobs", ({ body }) => dropped.push(body.number));
      const fates = new Map();
      const end = (id, fate) => {
        assert.equal(fates.get(id), undefined, `${id} ends twice`);
        fates.set(id, fate);
      };
      for (let id = 0; id < SENDS; id += 10) {
        const batch = Array.from({ length: 10 }, (_, index) => id + index);
        const sent = batch.map((one) =>
          jobs.send({ id: one, BODY }).then(
            () => true,
            (error) => {
              assert.equal(error.code, "FULL");
              end(one, "refused");
            },
          ),
        );
        await Promise.all(sent);
        const { ready, delayed } = await jobs.info();
        assert.ok(ready + delayed <= most, `${ready} ${delayed}`);
        const [taken] = await jobs.receive({ max: 1, timeout: 0 });
        if (taken) {
          end(taken.body.id, "processed");
          await taken.ack();
        }
      }
      const { sentTotal, ackedTotal, discardedTotal, deadLetteredTotal, ready } =
        await jobs.info();
      assert.ok(ready <= most);
      for (const { body } of await all(jobs.browse())) end(body.id, "left");
      if (overflow === "dead-letter")
        for (const { body, deaths } of await all(jobs.deadLetters.browse())) {
          assert.equal(deaths[0].reason, "overflow");
          end(body.id, "dead");
        }
      // What is missing was dropped, and that many advisories told so.
      for (let id = 0; id < SENDS; id += 1) if (!fates.has(id)) end(id, "dropped");
      await until(() => dropped.length === discardedTotal);
      assert.equal(new Set(dropped).size, dropped.length);
      const count = (fate) => [...fates.values()].filter((one) => one === fate).length;
      assert.equal(fates.size, SENDS);
      assert.equal(count("refused"), SENDS - sentTotal);
      assert.equal(count("processed"), ackedTotal);
      assert.equal(count("dropped"), discardedTotal);
      assert.equal(count("dead"), deadLetteredTotal);
      assert.equal(count("left"), ready);
      const shed = { reject: "refused", "drop-oldest": "dropped", "dead-letter": "dead" };
      for (const fate of ["refused", "dropped", "dead"])
        assert.equal(count(fate) > 0, fate === shed[overflow], fate);
    });
  }
}
