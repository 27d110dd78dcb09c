import assert from "node:assert/strict";
import { test } from "node:test";

import { connectBus, until } from "./helpers.mjs";

const OFTEN = { limits: { schedule_every_ms_min: 5 } };

/** The clock of this process stands at another time. */
function travel(t, iso) {
  const { now } = Date;
  t.after(() => (Date.now = now));
  const away = Date.parse(iso) - now();
  Date.now = () => now() + away;
}

test("schedule: sends again and again, and tells when it was due and how late", async (t) => {
  const bus = await connectBus(t, OFTEN);
  const jobs = bus.queue("q");
  const made = await jobs.schedule("tick", { every: 20 }, { n: 1n }, { headers: { a: 1 } });
  assert.equal(made.key, "tick");
  assert.deepEqual(made.when, { every: 20 });
  const bodies = [];
  jobs.process(({ body, headers }) => bodies.push([body, headers]));
  await until(() => bodies.length >= 3);
  assert.deepEqual(bodies[0], [{ n: 1n }, { a: 1 }]);
  const [known] = await jobs.schedules();
  assert.ok(known.last.count >= 3);
  assert.equal(known.last.late, known.last.firedAt - known.last.dueAt);
  assert.ok(known.last.late >= 0 && known.dueAt > known.last.firedAt);
  assert.equal((known.dueAt - made.dueAt) % 20, 0);
  assert.equal(await jobs.unschedule("tick"), true);
  assert.equal(await jobs.unschedule("tick"), false);
  assert.deepEqual(await jobs.schedules(), []);
});

test("schedule: its messages have a priority, no sender, and passed interceptors", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { priorities: 2, dedupe: "1m" });
  await jobs.send("before");
  bus.use({ outgoing: (message) => void (message.headers.by = message.kind) });
  const over = { at: new Date(1000) };
  await jobs.schedule("k", over, "first", { priority: 1 });
  await assert.rejects(jobs.schedule("k", over, "never", { priority: 2 }), { code: "INVALID" });
  await until(async () => (await jobs.info()).ready === 2);
  const found = [];
  jobs.process({ prefetch: 1 }, ({ body, priority, sender, headers }) => {
    found.push([body, priority, sender, headers.by]);
  });
  await until(() => found.length === 2);
  const sent = ["before", 0, bus.peer.id, undefined];
  assert.deepEqual(found, [["first", 1, undefined, "send"], sent]);
});

test("schedule: at a time, once; what is over is now", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const over = await jobs.schedule("over", { at: new Date(1000) }, "over");
  assert.deepEqual([over.dueAt, over.last], [undefined, undefined]);
  // Not over before the host has heard of it.
  const at = new Date(Date.now() + 1500);
  assert.deepEqual((await jobs.schedule("soon", { at }, "soon")).dueAt, at);
  const found = [];
  jobs.process(({ body }) => found.push([body, Date.now() >= at.getTime()]));
  await until(() => found.length === 2);
  assert.deepEqual(found, [["over", found[0][1]], ["soon", true]]);
  assert.deepEqual(await jobs.schedules(), []);
});

test("schedule: one of the same key is replaced, and may keep its time", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const first = await jobs.schedule("k", { every: "1h" }, 1);
  const again = await jobs.schedule("k", { every: "60m" }, 2);
  assert.deepEqual(again, first);
  const other = await jobs.schedule("k", { every: "2h" }, 2);
  assert.ok(other.dueAt > first.dueAt);
  for (let key = 0; key < 120; key += 1) jobs.schedule(`k${key}`, { every: "1h" }, key);
  await bus.flush();
  const keys = (await jobs.schedules()).map(({ key }) => key);
  assert.equal(keys.length, 121);
  assert.deepEqual(keys, [...keys].sort());
  assert.deepEqual(await bus.queue("other").schedules(), []);
});

for (const [zone, start, cron, dueAt] of [
  // 2:30 is left out, so it is at the change; and comes twice, so it is at the first.
  ["Europe/Berlin", "2026-03-28T12:00Z", "30 2 * * *", "2026-03-29T01:00Z"],
  ["Europe/Berlin", "2026-10-24T12:00Z", "30 2 * * *", "2026-10-25T00:30Z"],
  ["Europe/Berlin", "2026-10-25T00:30Z", "30 2 * * *", "2026-10-26T01:30Z"],
  ["America/New_York", "2026-03-07T12:00Z", "30 2 * * *", "2026-03-08T07:00Z"],
  ["America/New_York", "2026-10-31T12:00Z", "30 1 * * *", "2026-11-01T05:30Z"],
  ["Australia/Lord_Howe", "2026-10-03T03:00Z", "15 2 * * *", "2026-10-03T15:30Z"],
  ["Australia/Lord_Howe", "2026-04-04T03:00Z", "45 1 * * *", "2026-04-04T14:45Z"],
  ["Australia/Lord_Howe", "2026-04-04T14:45Z", "45 1 * * *", "2026-04-05T15:15Z"],
  // Far away, and by no clock that changes.
  ["Asia/Kolkata", "2026-03-01T00:00Z", "0 12 29 2 *", "2028-02-29T06:30Z"],
  [undefined, "2026-03-01T00:00Z", "*/20 * * * *", "2026-03-01T00:20Z"],
]) {
  test(`schedule: ${cron} in ${zone ?? "UTC"} after ${start} is at ${dueAt}`, async (t) => {
    travel(t, start);
    const bus = await connectBus(t);
    const when = zone ? { cron, timeZone: zone } : { cron };
    const made = await bus.queue("q").schedule("k", when, 1);
    assert.deepEqual(made.when, when);
    assert.equal(made.dueAt.toISOString(), new Date(dueAt).toISOString());
  });
}

test("schedule: what can't be followed is refused, and nothing is made", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const wrong = [
    [{ cron: "61 * * * *" }, "cron"],
    [{ cron: "0 0 30 2 *" }, "cron"],
    [{ cron: "* * * * *", timeZone: "Europe/Nowhere" }, "timeZone"],
    [{ cron: "* * * * *", timeZone: "" }, "timeZone"],
    [{ every: 999 }, "every"],
  ];
  for (const [when, reason] of wrong)
    await assert.rejects(jobs.schedule("k", when, 1), { code: "INVALID", data: { reason } });
  const invalid = { code: "INVALID" };
  for (const when of [
    undefined,
    {},
    { every: "1h", cron: "* * * * *" },
    { every: "1h", timeZone: "Europe/Berlin" },
    { every: "soon" },
    { at: 5 },
    { at: new Date(Number.NaN) },
    { often: true },
  ])
    await assert.rejects(jobs.schedule("k", when, 1), invalid);
  const hourly = { every: "1h" };
  for (const key of ["", 7, undefined]) {
    await assert.rejects(jobs.schedule(key, hourly, 1), invalid);
    await assert.rejects(jobs.unschedule(key), invalid);
  }
  await assert.rejects(jobs.schedule("k".repeat(256), hourly, 1), invalid);
  await assert.rejects(jobs.schedule("k", hourly, 1, { id: "own" }), invalid);
  await assert.rejects(jobs.schedule("k", hourly, 1, { delay: 5 }), invalid);
  await assert.rejects(jobs.schedule("k", hourly, () => {}), { code: "UNENCODABLE" });
  assert.deepEqual(await jobs.schedules(), []);
});

test("schedule: the latest value of a topic, once, as it was published", async (t) => {
  const bus = await connectBus(t, OFTEN);
  const jobs = bus.queue("q", { dedupe: "1m" });
  const kinds = [];
  bus.use({ outgoing: ({ kind }) => void kinds.push(kind) });
  const made = await jobs.schedule("thin", { every: 20, latest: "price.eu" });
  assert.deepEqual(made.when, { every: 20, latest: "price.eu" });
  assert.deepEqual(kinds, []);
  const found = [];
  jobs.process(({ body, headers, key, id }) => found.push([body, headers, key, id]));
  const count = 200;
  for (let n = 1; n <= count; n += 1) {
    await bus.publish("price.eu", n, { headers: { n }, key: "eu", id: "same" });
    await bus.publish("price.us", -n);
  }
  const isLast = ([body]) => body === count;
  await until(() => found.some(isLast));
  const [{ last }] = await jobs.schedules();
  await until(async () => (await jobs.schedules())[0].last.count >= last.count + 3);
  // Each value is there once, and in order, and none came after the last one.
  const values = found.map(([body]) => body);
  assert.deepEqual(values, [...new Set(values)].sort((a, b) => a - b));
  assert.equal(values.at(-1), count);
  for (const [body, headers, key, id] of found) {
    assert.deepEqual([headers, key], [{ n: body }, "eu"]);
    assert.notEqual(id, "same");
  }
  const [{ last: firing }] = await jobs.schedules();
  assert.ok((await jobs.info()).sentTotal <= firing.count);
});

test("schedule: a topic is sampled by cron, and its messages have a priority", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q", { priorities: 2 });
  const when = { cron: "* * * * * *", timeZone: "Asia/Kolkata", latest: "t" };
  assert.deepEqual((await jobs.schedule("k", when, undefined, { priority: 1 })).when, when);
  await bus.publish("t", { n: 1n });
  const [job] = await jobs.receive();
  assert.deepEqual([job.body, job.priority], [{ n: 1n }, 1]);
  assert.equal(await jobs.unschedule("k"), true);
});

test("schedule: what can't be sampled is refused, and nothing is made", async (t) => {
  const bus = await connectBus(t);
  const jobs = bus.queue("q");
  const every = "1h";
  for (const latest of ["", "a.*", "a.#", "a..b", "$tabmq.queue"])
    await assert.rejects(jobs.schedule("k", { every, latest }), {
      code: "INVALID",
      data: { reason: "latest" },
    });
  const invalid = { code: "INVALID" };
  const fits = { every, latest: "t" };
  await assert.rejects(jobs.schedule("k", { every, latest: 5 }), invalid);
  await assert.rejects(jobs.schedule("k", { latest: "t" }), invalid);
  await assert.rejects(jobs.schedule("k", { at: new Date(), latest: "t" }), invalid);
  for (const body of [1, null, { latest: "t" }])
    await assert.rejects(jobs.schedule("k", fits, body), invalid);
  for (const own of [{ headers: { a: 1 } }, { key: "k" }, { id: "own" }, { replyTo: "r" }])
    await assert.rejects(jobs.schedule("k", fits, undefined, own), invalid);
  assert.deepEqual(await jobs.schedules(), []);
  // A body may look like it.
  await jobs.schedule("k", { every }, fits);
  assert.deepEqual((await jobs.schedules())[0].when, { every: 3_600_000 });
});
