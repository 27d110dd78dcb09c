// The commands that look at a hub and run its queues, as processes of their own.
import assert from "node:assert/strict";
import { test } from "node:test";

import { all, deferred, take, until } from "./helpers.mjs";
import { command, connectTo, runCommand, serveCommand } from "./hub-server.mjs";

async function hubCommand(t) {
  const { url } = await serveCommand(t);
  const env = { TABMQ_HUB: url };
  const run = (words, input) => runCommand(t, words, { input, env });
  return { url, env, run };
}

/** Has so many messages of a queue die, with a header that tells odd from even. */
async function bury(bus, name, count) {
  const queue = bus.queue(name);
  const items = Array.from({ length: count }, (_, index) => {
    return { body: index, id: `id-${index}`, headers: { parity: index % 2 ? "odd" : "even" } };
  });
  await queue.sendBatch(items);
  const deliveries = await take(queue.consume({ prefetch: count }), count);
  await Promise.all(deliveries.map((delivery) => delivery.reject("no tea")));
}

test("cli: dead letters go back, those that are meant, and are counted", async (t) => {
  const { url, run } = await hubCommand(t);
  const bus = await connectTo(t, url);
  await bury(bus, "orders", 10);
  const redrive = async (...words) => {
    const { code, rest, error } = await run(["queue", "redrive", "shop", "orders", ...words]);
    assert.deepEqual([code, error], [0, ""], words.join(" "));
    return rest;
  };
  assert.deepEqual(await redrive("--where", "reason=expired"), ["0 moved"]);
  assert.deepEqual(await redrive("--where", "id=id-1", "--where", "id=id-3", "--json"), [
    '{"moved":2}',
  ]);
  assert.deepEqual(await redrive("--where", "header.parity=odd", "--max", "1"), ["1 moved"]);
  await bus.admin.declare("later");
  assert.deepEqual(await redrive("--into", "later", "--where", "id=id-0"), ["1 moved"]);
  assert.deepEqual(await redrive(), ["6 moved"]);
  assert.equal((await bus.admin.info("orders")).ready, 9);
  assert.equal((await bus.admin.info("later")).ready, 1);
  assert.equal((await bus.admin.info("orders.dead")).ready, 0);
});

test("cli: a slow redrive tells how far it is, and a signal stops it", async (t) => {
  const { url, env } = await hubCommand(t);
  const bus = await connectTo(t, url);
  await bury(bus, "orders", 20);
  const words = ["queue", "redrive", "shop", "orders", "--rate", "2", "--progress"];
  const slow = command(t, words, env);
  await until(async () => (await bus.admin.info("orders")).ready >= 3);
  slow.kill("SIGINT");
  const { code, error } = await slow.end();
  assert.equal(code, 1);
  assert.match(error, /^\d+ of 20 dead letters left$/m);
  assert.match(error, /^tabmq: CANCELLED: /m);
  const [back, dead] = await Promise.all(
    ["orders", "orders.dead"].map(async (name) => (await bus.admin.info(name)).ready),
  );
  assert.equal(back + dead, 20);
  assert.ok(dead > 0);
});

test("cli: a method is called, and what it throws is told by name and code", async (t) => {
  const { url, run, env } = await hubCommand(t);
  const bus = await connectTo(t, url);
  const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  let asked = () => {};
  const service = bus.serve("kitchen", {
    add: (...numbers) => numbers.reduce((sum, number) => sum + number, 0),
    brew: ({ cups }) => ({ tea: cups }),
    nothing: () => {},
    traced: () => service.current.traceparent,
    fail: () => {
      throw Object.assign(new RangeError("the pot is empty"), { code: "E_POT" });
    },
    plain: () => {
      throw new Error("no");
    },
    never: () => new Promise(() => asked()),
  });
  await service.ready();
  const call = (words, input) => run(["call", "shop", "kitchen", ...words], input);
  const returned = async (words, input) => {
    const { code, rest, error } = await call(words, input);
    assert.deepEqual([code, error], [0, ""], words.join(" "));
    return rest;
  };
  assert.deepEqual(await returned(["add", "1", "2", "3"]), ["6"]);
  assert.deepEqual(await returned(["add", "--json", "--", "-1"]), ['{"result":-1}']);
  assert.deepEqual(await returned(["brew", "-"], '{"cups":2}'), ["{ tea: 2 }"]);
  assert.deepEqual(await returned(["nothing"]), []);
  assert.deepEqual(await returned(["nothing", "--json"]), ["{}"]);
  assert.deepEqual(await returned(["traced", "--traceparent", trace]), [trace]);
  const failed = async (...words) => {
    const { code, rest, error } = await call(words);
    assert.deepEqual(rest, []);
    return [code, error];
  };
  const pot = "tabmq: RangeError (E_POT): the pot is empty\n";
  assert.deepEqual(await failed("fail"), [1, pot]);
  assert.deepEqual(await failed("fail", "--json"), [1, pot]);
  assert.deepEqual(await failed("plain"), [1, "tabmq: Error: no\n"]);
  assert.match((await failed("none")).join(" "), /^2 tabmq: NOT_FOUND: /);
  assert.match((await failed("never", "--timeout", "300ms")).join(" "), /^1 tabmq: TIMEOUT: /);
  const { code, error } = await run(["call", "shop", "nobody", "x", "--timeout", "300ms"]);
  assert.equal(code, 1);
  assert.match(error, /^tabmq: (UNAVAILABLE|TIMEOUT): /);
  const began = new Promise((resolve) => (asked = resolve));
  const waiting = command(t, ["call", "shop", "kitchen", "never"], env);
  await began;
  waiting.kill("SIGTERM");
  const ended = await waiting.end();
  assert.equal(ended.code, 1);
  assert.match(ended.error, /^tabmq: CANCELLED: /);
});

test("cli: what a bus has fits on a screen, and is told as one object", async (t) => {
  const { url, run, env } = await hubCommand(t);
  const bus = await connectTo(t, url);
  assert.match((await run(["inspect", "shop"])).rest.join("\n"), /\nno queues$/);
  await bury(bus, "orders", 3);
  await bus.queue("orders").send("tea");
  await bus.queue("orders").send("later", { delay: "1h", confirm: "hub" });
  const consumer = bus.queue("mail").consume();
  await consumer.ready();
  await bus.admin.pause("mail");
  const { code, rest } = await run(["inspect", "shop"]);
  assert.equal(code, 0);
  const [name, host, storage, peers, gap, ...table] = rest;
  assert.deepEqual([name, host, gap], ["bus:     shop", "host:    hub, epoch 1", ""]);
  assert.equal(storage, "storage: memory, memory at most");
  assert.match(peers, /^peers: {3}2 \(.*hub.*\)$/);
  assert.deepEqual(
    table.map((line) => line.split(/ {2,}/)),
    [
      ["queue", "ready", "delayed", "delivered", "dead", "consumers"],
      ["mail (paused)", "0", "0", "0", "0", "1"],
      ["orders", "1", "1", "0", "3", "0"],
      ["orders.dead", "3", "0", "0", "0", "0"],
    ],
  );
  assert.deepEqual((await run(["inspect", "services", "shop"])).rest, ["no services"]);
  const [line, ...more] = (await run(["inspect", "shop", "--json"])).rest;
  assert.deepEqual(more, []);
  const seen = JSON.parse(line);
  assert.deepEqual([seen.bus, seen.host.kind, seen.host.epoch], ["shop", "hub", 1]);
  const [, orders] = seen.queues;
  assert.deepEqual([orders.name, orders.ready, orders.dead], ["orders", 1, 3]);

  const watching = command(t, ["inspect", "shop", "--watch", "--json"], env);
  const ready = async () => JSON.parse(await watching.line()).queues[1].ready;
  assert.equal(await ready(), 1);
  await bus.queue("orders").send("milk", { confirm: "hub" });
  await until(async () => (await ready()) === 2);
  watching.kill("SIGINT");
  assert.equal((await watching.end()).code, 0);
});

test("cli: who serves what is shown, with the calls that are under way", async (t) => {
  const { url, run } = await hubCommand(t);
  const bus = await connectTo(t, url);
  const brewing = deferred();
  const service = { brew: () => brewing.promise };
  await bus.serve("kitchen@2", service, { concurrency: 2 }).ready();
  await bus.serve("till", service).ready();
  const calls = Array.from({ length: 3 }, () => bus.call("kitchen@2", "brew", []));
  const kitchen = async () => (await all(bus.admin.services()))[0];
  await until(async () => (await kitchen()).waiting === 1);
  const cells = (lines) => lines.map((line) => line.trim().split(/ {2,}/));
  const peer = bus.peer.name ?? bus.peer.id.slice(0, 8);
  assert.deepEqual(cells((await run(["inspect", "shop"])).rest.slice(-3)), [
    ["service", "servers", "running", "waiting"],
    ["kitchen@2", "1", "2", "1"],
    ["till", "1", "0", "0"],
  ]);
  assert.deepEqual(cells((await run(["inspect", "services", "shop"])).rest), [
    ["service", "waiting", "server", "running", "at a time"],
    ["kitchen@2", "1", peer, "2", "2"],
    ["till", "0", peer, "0", "16"],
  ]);
  const [line] = (await run(["inspect", "services", "shop", "--json"])).rest;
  const { services } = JSON.parse(line);
  assert.deepEqual(services[0], {
    name: "kitchen@2",
    servers: [{ peer: bus.peer.id, concurrency: 2, running: 2 }],
    waiting: 1,
    home: "hub",
  });
  brewing.resolve("tea");
  assert.deepEqual(await Promise.all(calls), ["tea", "tea", "tea"]);
});

test("cli: a bench measures sends, receives and calls, and leaves nothing", async (t) => {
  const { url, run } = await hubCommand(t);
  const bus = await connectTo(t, url);
  const words = ["bench", "shop", "--size", "10", "--in-flight", "8", "--seconds"];
  const { code, rest, error } = await run([...words, "2", "--json", "--progress"]);
  assert.equal(code, 0, error);
  assert.match(error, /^(sends|receives|calls): \d+ s, [\d ]+$/m);
  const told = JSON.parse(rest.join("\n"));
  const { seconds, size, in_flight, storage } = told;
  assert.deepEqual([seconds, size, in_flight, storage], [2, 10, 8, "memory"]);
  assert.deepEqual(Object.keys(told.results), ["send", "receive", "call"]);
  for (const { count, per_second, median_ms, p99_ms } of Object.values(told.results)) {
    assert.ok(count > 0 && per_second > 0);
    assert.ok(median_ms > 0 && p99_ms >= median_ms);
  }
  assert.ok(told.results.receive.count <= told.results.send.count);
  const people = await run([...words, "1"]);
  assert.equal(people.error, "");
  assert.match(people.rest.join("\n"), /^10 bytes, 8 at a time, 1 s each, memory \(memory\)\n/);
  assert.match(people.rest.join("\n"), /This measures this machine/);
  const strict = await run([...words, "1", "--durability", "strict"]);
  assert.equal(strict.code, 2);
  assert.match(strict.error, /^tabmq: UNSUPPORTED: .*\n$/);
  const left = [];
  for await (const { name } of bus.admin.list()) left.push(name);
  assert.deepEqual(left, []);
});

test("cli: each line is a message, and what is refused says how many were stored", async (t) => {
  const { url, run } = await hubCommand(t);
  const bus = await connectTo(t, url);
  const send = (words, input) => run(["queue", "send", "shop", ...words, "--lines"], input);
  const text = await send(["orders", "--header", "a=b", "--progress"], "tea\r\n\nmilk\ncake");
  assert.deepEqual([text.code, text.rest], [0, ["3 sent"]]);
  const json = await send(["numbers", "--json"], "1\n[2]\n");
  assert.deepEqual([json.code, json.rest], [0, ['{"stored":2,"duplicates":0}']]);
  const bodies = async (name) => {
    const found = [];
    for await (const { body, headers } of bus.queue(name).browse()) found.push([body, headers]);
    return found;
  };
  const headers = { a: "b" };
  const sent = ["tea", "milk", "cake"].map((body) => [body, headers]);
  assert.deepEqual(await bodies("orders"), sent);
  assert.deepEqual(await bodies("numbers"), [[1, {}], [[2], {}]]);
  const bad = await send(["numbers", "--json"], "3\n{\n");
  assert.deepEqual([bad.code, bad.rest], [2, ['{"stored":1,"duplicates":0}']]);
  assert.match(bad.error, /^tabmq: Line 2 is no JSON: .*\n$/);
  await bus.admin.declare("small", { maxLength: 5 });
  const lines = Array.from({ length: 20 }, (_, index) => String(index)).join("\n");
  const full = await send(["small"], lines);
  assert.deepEqual([full.code, full.rest], [1, ["5 sent"]]);
  assert.match(full.error, /^tabmq: FULL: .*\n$/);
  assert.deepEqual((await bodies("small")).map(([body]) => body), ["0", "1", "2", "3", "4"]);
});

test("cli: what the commands can't do is told in one sentence, with the code 2", async (t) => {
  const { url, run } = await hubCommand(t);
  const bus = await connectTo(t, url);
  await bury(bus, "orders", 1);
  const redrive = ["queue", "redrive", "shop", "orders"];
  const refused = [
    [[...redrive, "--where", "reason"], /^--where is like name=value, not "reason"\.$/],
    [[...redrive, "--where", "colour=red"], /^--where knows id, reason and header\.NAME, .*\.$/],
    [[...redrive, "--where", "reason=bad"], /^INVALID: .*"reason" must be one of rejected/],
    [[...redrive, "--rate", "0"], /^--rate is so many a second, .*\.$/],
    [[...redrive, "--max", "few"], /^--max must be a whole number .*\.$/],
    [["queue", "redrive", "shop", "nowhere"], /^NOT_FOUND: /],
    [["call", "shop", "kitchen"], /^A word is missing\.$/],
    [["call", "shop", "kitchen", "add", "{"], /^Argument 1 is no JSON: .*\.$/],
    [["call", "shop", "kitchen", "add", "--traceparent", "x"], /^INVALID: .*traceparent/],
    [["inspect"], /^A word is missing\.$/],
    [["inspect", "shop", "orders"], /^"orders" is one word too many\.$/],
    [["bench", "shop", "--seconds", "0"], /^--seconds must be at least 1\.$/],
    [["bench", "shop", "--size", "9999999"], /^--size must be a whole number up to .*\.$/],
    [["bench", "shop", "--durability", "high"], /^--durability is one of memory, .*\.$/],
    [["queue", "send", "shop", "q", "x", "--lines"], /: leave BODY out\.$/],
    [["queue", "send", "shop", "q", "--lines", "--id", "1"], /--id names one\.$/],
  ];
  const check = async ([words, sentence]) => {
    const { code, rest, error } = await run(words);
    assert.deepEqual([code, rest], [2, []], `${words.join(" ")}: ${error}`);
    const [, told] = /^tabmq: (.*)\n$/.exec(error) ?? assert.fail(error);
    assert.match(told, sentence);
  };
  for (const each of refused) await check(each);
  const names = [];
  for await (const { name, ready } of bus.admin.list()) names.push([name, ready]);
  assert.deepEqual(names, [["orders", 0], ["orders.dead", 1]]);
});

test("cli: each command tells what it takes", async (t) => {
  const commands = ["pub", "sub", "call", "inspect", "bench"];
  const ofQueues = ["send", "work", "peek", "redrive"].map((word) => `queue ${word}`);
  const helps = [...commands, ...ofQueues].map(async (name) => {
    const { code, rest, error } = await runCommand(t, [...name.split(" "), "--help"]);
    assert.deepEqual([code, error], [0, ""], name);
    assert.ok(rest[0].startsWith(`tabmq ${name} BUS`), rest[0]);
    assert.match(rest.join("\n"), /--hub URL/);
    assert.ok(rest.every((line) => line.length <= 100));
  });
  await Promise.all(helps);
});
