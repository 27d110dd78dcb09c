// Two tabs exchange all three kinds of message.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders, hostOf, openBus, openPage, PATIENT, requireHost } from "./bus.mjs";

/** Each of them with the node in every place. */
const everywhere = { folders, hosts: true };

async function openTwo(t) {
  const first = await openBus(t, "first", PATIENT);
  const here = await requireHost(first);
  const second = await openBus(t, "second", PATIENT);
  const there = await hostOf(second);
  assert.deepEqual([there.here, there.kind, there.epoch], [false, here.kind, here.epoch]);
  assert.deepEqual([here.storage, here.fenced], ["indexeddb", true]);
  return [first, second];
}

test("a page has no files, and says so", everywhere, async (t) => {
  const tab = await openPage(t, "page");
  const refused = await tab.evaluate(async () => {
    const attempt = globalThis.connect("test", { storage: "./data" });
    const { code, data } = await attempt.catch((error) => error);
    return [code, data.name];
  });
  assert.deepEqual(refused, ["UNSUPPORTED", 'connect option "storage": ./data']);
});

const WORDS = ["one", "two", "three", "four", "five"];

test("what one tab publishes the other receives in order", everywhere, async (t) => {
  const [first, second] = await openTwo(t);
  for (const [publisher, subscriber] of [[first, second], [second, first]]) {
    await subscriber.evaluate(async () => {
      globalThis.inbox.length = 0;
      const take = ({ topic, body }) => globalThis.inbox.push([topic, body]);
      await globalThis.bus.subscribe("words.*", take).ready();
    });
    await publisher.evaluate(async (words) => {
      for (const word of words) await globalThis.bus.publish("words.said", word);
    }, WORDS);
    await subscriber.waitFor((count) => globalThis.inbox.length >= count, { args: [WORDS.length] });
    const expected = WORDS.map((word) => ["words.said", word]);
    assert.deepEqual(await subscriber.evaluate(() => globalThis.inbox), expected);
  }
});

test("what one tab sends to a queue the other processes once", everywhere, async (t) => {
  const [first, second] = await openTwo(t);
  for (const [producer, worker] of [[first, second], [second, first]]) {
    await worker.evaluate(async () => {
      globalThis.inbox.length = 0;
      const take = ({ body, attempt }) => void globalThis.inbox.push([body, attempt]);
      globalThis.consumer = globalThis.bus.queue("jobs").process(take);
      await globalThis.consumer.ready();
    });
    const receipts = await producer.evaluate(async (words) => {
      const queue = globalThis.bus.queue("jobs");
      const answers = [];
      for (const word of words) answers.push(await queue.send(word));
      return answers;
    }, WORDS);
    const { persisted } = await hostOf(producer);
    const kept = { durability: "relaxed", persisted, evictable: !persisted, fenced: true };
    const stored = { at: "device", ...kept, partitioned: false };
    for (const receipt of receipts) assert.deepEqual(receipt.stored, stored);
    assert.equal(new Set(receipts.map(({ id }) => id)).size, WORDS.length);
    await worker.waitFor((count) => globalThis.inbox.length >= count, { args: [WORDS.length] });
    await worker.evaluate(() => globalThis.consumer.stop({ drain: true }));
    const expected = WORDS.map((word) => [word, 1]);
    assert.deepEqual(await worker.evaluate(() => globalThis.inbox), expected);
    const info = await producer.evaluate(() => globalThis.bus.queue("jobs").info());
    assert.deepEqual([info.ready, info.delayed, info.leased], [0, 0, 0]);
  }
  const info = await first.evaluate(() => globalThis.bus.queue("jobs").info());
  assert.deepEqual([info.sentTotal, info.ackedTotal], [10, 10]);
});

test("what one tab calls the other answers", everywhere, async (t) => {
  const [first, second] = await openTwo(t);
  for (const [caller, server] of [[first, second], [second, first]]) {
    await server.evaluate(async () => {
      const implementation = {
        add: (a, b) => a + b,
        fail: () => {
          throw new RangeError("out of range");
        },
      };
      globalThis.service = globalThis.bus.serve("calc@1", implementation);
      await globalThis.service.ready();
    });
    const results = await caller.evaluate(async () => {
      const calc = globalThis.bus.client("calc@1");
      return [await calc.add(2, 3), await globalThis.outcome(calc.fail())];
    });
    assert.equal(results[0], 5);
    assert.match(results[1].text, /out of range/);
    await server.evaluate(() => globalThis.service.stop());
    const gone = await caller.evaluate(() =>
      globalThis.outcome(globalThis.bus.client("calc@1", { timeout: "20s" }).add(1, 1)),
    );
    assert.equal(gone.code, "UNAVAILABLE");
  }
});

test("a tab that closes before it begins leaves its work with the host", everywhere, async (t) => {
  const first = await openBus(t, "first", PATIENT);
  const { epoch } = await requireHost(first);
  const second = await openPage(t, "second");
  const id = await second.evaluate(async (options) => {
    const bus = globalThis.tabmq.createBus("test", options);
    const sent = bus.queue("jobs").send("early");
    await bus.close({ drain: true });
    return (await sent).id;
  }, { host: t.host, ...PATIENT });
  const found = await first.evaluate(async () => {
    const [job] = await globalThis.bus.queue("jobs").receive();
    return { id: job.id, body: job.body, epoch: globalThis.bus.host.get().epoch };
  });
  // It heard the host; one that hears nobody takes the lock by force.
  assert.deepEqual(found, { id, body: "early", epoch });
});

test("each tab sees the other among the peers", everywhere, async (t) => {
  const first = await openBus(t, "first", { peer: { name: "Ada", tags: { side: "left" } } });
  const second = await openBus(t, "second", { peer: { name: "Bob" } });
  const names = () => {
    const peers = globalThis.bus.peers.get().map(({ name }) => name);
    return peers.length === 2 && peers.toSorted();
  };
  for (const tab of [first, second]) assert.deepEqual(await tab.waitFor(names), ["Ada", "Bob"]);
  await second.close();
  await first.waitFor(() => globalThis.bus.peers.get().length === 1, { what: "Bob is gone" });
});
