// The commands as processes of their own.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectSocket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { SignJWT } from "jose";

import { until } from "./helpers.mjs";
import { command, connectTo, post, runCommand, serveCommand } from "./hub-server.mjs";
import { freePort } from "./ports.mjs";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

function temporaryFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), "tabmq-hub-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("cli: help and version are told and end well", async (t) => {
  const told = async (...words) => {
    const { code, rest, error } = await runCommand(t, words);
    assert.deepEqual([code, error], [0, ""], words.join(" "));
    return rest.join("\n");
  };
  assert.equal(await told("--version"), version);
  assert.match(await told("--help"), /tabmq serve/);
  const serve = await told("serve", "--help");
  const options = ["data", "port", "host", "origins", "token-file", "anonymous", "metrics", "json"];
  for (const option of options)
    assert.match(serve, new RegExp(`--${option} `));
  assert.match(await told("queue", "--help"), /tabmq queue redrive BUS QUEUE/);
});

test("cli: what can't be done is told in one sentence, with the code 2", async (t) => {
  const refused = [
    [[], "No command is given; tabmq --help lists them."],
    [["srve"], 'There is no command "srve"; tabmq --help lists them.'],
    [["serve", "--prt", "1"], "Unknown option '--prt'."],
    [["serve", "now"], '"now" is one word too many.'],
    [["serve", "--port", "x"], '--port must be a whole number up to 65535, not "x".'],
    [["serve", "--origins", "a.example"], /^"a\.example" is no origin, .*\.$/],
    [["serve", "--host", "0.0.0.0"], /^Others than this machine may reach .* --anonymous .*\.$/],
    [["serve", "--token-file", "/nowhere"], /^The tokens can't be read: .*\.$/],
    [["serve", "--token-file", "x", "--anonymous"], /choose one\.$/],
    [["serve", "--token-file", "x", "--jwks", "https://a.example"], /choose one\.$/],
    [["serve", "--jwks", "https://a.example"], /--issuer and --audience: give both\.$/],
    [["serve", "--issuer", "a"], /are for --jwks and --jwt-secret-file\.$/],
    [["serve", "--jwks", "x", "--issuer", "a", "--audience", "b"], /^INVALID: jwt: jwks must be/],
    [["serve", "--data", import.meta.filename], /^The folder .* can't be made: .*\.$/],
    [["pub", "shop"], "A word is missing."],
    [["queue", "send", "shop", "q", "{", "--json"], /^The body is no JSON: .*\.$/],
    [["queue", "send", "shop", "q", "x", "--header", "a"], /^--header is like name=value, .*\.$/],
    [["pub", "shop", "a", "x", "--hub", "nowhere"], /^INVALID: .*/],
  ];
  const check = async ([words, sentence]) => {
    const { code, rest, error } = await runCommand(t, words);
    assert.deepEqual([code, rest], [2, []], error);
    const [, told] = /^tabmq: (.*)\n$/.exec(error) ?? assert.fail(error);
    if (typeof sentence === "string") assert.equal(told, sentence);
    else assert.match(told, sentence);
  };
  await Promise.all(refused.map(check));
});

test("cli: a port that is taken is told in one sentence, with the code 2", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const port = String(server.address().port);
  const { code, error } = await runCommand(t, ["serve", "--port", port]);
  const told = `tabmq: Port ${port} of 127.0.0.1 can't be listened on: it is taken.\n`;
  assert.deepEqual([code, error], [2, told]);
});

test("cli: the first lines say where it listens, keeps messages, and who is let in", async (t) => {
  const folder = temporaryFolder(t);
  const running = command(t, ["serve", "--port", "0", "--data", folder, "--metrics"]);
  const lines = [];
  while (lines.length < 5) lines.push(await running.line());
  const [, port] = / listens on ws:\/\/127\.0\.0\.1:(\d+)$/.exec(lines[0]);
  assert.deepEqual(lines, [
    `tabmq ${version} listens on ws://127.0.0.1:${port}`,
    `  messages: in ${folder}`,
    "  let in: programs on this machine, with every right",
    "  pages: of this machine",
    `  metrics: http://127.0.0.1:${port}/metrics`,
  ]);
  const metrics = await fetch(`http://127.0.0.1:${port}/metrics`);
  assert.match(await metrics.text(), /# EOF\n$/);
  running.kill("SIGINT");
  const { code, rest, error } = await running.end();
  assert.deepEqual([code, error], [0, ""]);
  assert.match(rest.join("\n"), / info closing\n.* info closed$/);
});

test("cli: with --token-file only who has a token comes in", async (t) => {
  const file = join(temporaryFolder(t), "tokens");
  writeFileSync(file, "first\n\n  second \n");
  const { url, first } = await serveCommand(t, "--token-file", file);
  assert.equal(first.tokens, true);
  const words = ["queue", "send", "shop", "q", "x", "--hub", url];
  const send = (...more) => runCommand(t, [...words, ...more]);
  assert.equal((await send("--token", "second")).code, 0);
  for (const more of [[], ["--token", "third"]]) {
    const { code, error } = await send(...more);
    assert.equal(code, 1);
    assert.match(error, /NOT_AUTHORIZED/);
  }
});

test("cli: with --jwt-secret-file a token brings the rights that stand in it", async (t) => {
  const secret = "a secret of thirty-two bytes or more";
  const file = join(temporaryFolder(t), "secret");
  writeFileSync(file, `${secret}\n`);
  const words = ["--jwt-secret-file", file, "--issuer", "login", "--audience", "hub"];
  const { url, first, line } = await serveCommand(t, ...words);
  assert.deepEqual([first.tokens, first.issuer], [true, "login"]);
  const tokenOf = (rights) =>
    new SignJWT({ ...rights })
      .setProtectedHeader({ alg: "HS256" })
      .setIssuer("login")
      .setAudience("hub")
      .setSubject("ann")
      .setExpirationTime("10m")
      .sign(new TextEncoder().encode(secret));
  const send = async (queue, rights) => {
    const sent = ["queue", "send", "shop", queue, "x", "--hub", url];
    return runCommand(t, [...sent, "--token", await tokenOf(rights)]);
  };
  const tabmq = { publish: ["orders.#"] };
  assert.equal((await send("orders.new", { tabmq })).code, 0);
  const refused = await send("wages", { tabmq });
  assert.deepEqual([refused.code, /NOT_AUTHORIZED/.test(refused.error)], [1, true]);
  const without = await send("orders.new", {});
  assert.deepEqual([without.code, /NOT_AUTHORIZED/.test(without.error)], [1, true]);
  let told;
  do told = JSON.parse(await line());
  while (told.event !== "refused");
  assert.equal(told.why, 'authorize: the claim "tabmq" is not there');
});

test("cli: with --json each line is an object, and --anonymous listens anywhere", async (t) => {
  const origins = ["https://a.example", "https://b.example"];
  const words = ["--anonymous", "--host", "0.0.0.0", "--origins", origins.join(",")];
  const { first, kill, end } = await serveCommand(t, ...words);
  const { time, url, ...told } = first;
  assert.ok(!Number.isNaN(Date.parse(time)));
  assert.match(url, /^ws:\/\/0\.0\.0\.0:\d+$/);
  const who = { anonymous: true, tokens: false };
  const wanted = { level: "info", event: "listening", version, ...who, origins };
  assert.deepEqual(told, { ...wanted, metrics: false });
  kill("SIGTERM");
  const { code, rest } = await end();
  assert.equal(code, 0);
  assert.deepEqual(rest.map((line) => JSON.parse(line).event), ["closing", "closed"]);
});

test("cli: after SIGTERM everything is stored, and clients go on with the next one", async (t) => {
  const folder = temporaryFolder(t);
  const port = String(await freePort());
  const first = await serveCommand(t, "--port", port, "--data", folder);
  const bus = await connectTo(t, first.url);
  const queue = bus.queue("orders");
  for (let number = 0; number < 50; number += 1) await queue.send(number);
  const under_way = Promise.all(Array.from({ length: 50 }, (_, index) => queue.send(50 + index)));
  first.kill("SIGTERM");
  const { code, rest } = await first.end();
  assert.equal(code, 0);
  const ended = rest.map((line) => JSON.parse(line));
  assert.equal(ended.find(({ event }) => event === "disconnected").reason, "hub-closing");
  const second = command(t, ["serve", "--port", port, "--json", "--data", folder]);
  assert.equal(JSON.parse(await second.line()).url, first.url);
  await under_way;
  const bodies = [];
  for await (const { body } of queue.browse()) bodies.push(body);
  assert.deepEqual(bodies, Array.from({ length: 100 }, (_, index) => index));
});

test("cli: a folder that another process has is told to whoever asks, with 503", async (t) => {
  const folder = temporaryFolder(t);
  const [first, second] = [
    await serveCommand(t, "--data", folder),
    await serveCommand(t, "--data", folder),
  ];
  const orders = ({ url }) => `${url.replace("ws:", "http:")}/shop/queues/orders`;
  const stored = await post(orders(first), "x");
  assert.deepEqual([stored.status, stored.json.stored.persisted], [202, true]);
  const { status, json } = await post(orders(second), "x");
  assert.deepEqual([status, json.code, json.data.reason], [503, "UNAVAILABLE", "in use"]);
  assert.equal(JSON.parse(await second.line()).event, "bus-failed");
  first.kill("SIGTERM");
  await first.end();
  assert.equal((await post(orders(second), "x")).status, 202);
});

test("cli: a second signal ends at once", async (t) => {
  const { url, line, kill, end } = await serveCommand(t);
  // A peer that never answers the farewell holds up the end.
  const socket = connectSocket(Number(new URL(url).port), "127.0.0.1");
  t.after(() => socket.destroy());
  const upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
  const key = ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: tabmq"];
  const head = ["GET /shop HTTP/1.1", "Host: localhost", ...upgrade, ...key];
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  await once(socket, "data");
  const opened = [JSON.parse(await line()).event, JSON.parse(await line()).event];
  assert.deepEqual(opened, ["connected", "bus-opened"]);
  kill("SIGTERM");
  assert.equal(JSON.parse(await line()).event, "closing");
  kill("SIGINT");
  const { code, rest } = await end();
  assert.deepEqual([code, rest], [130, []]);
});

test("cli: messages are sent, looked at, taken and heard from a shell", async (t) => {
  const { url } = await serveCommand(t);
  const env = { TABMQ_HUB: url };
  const run = async (words, input) => {
    const { code, rest, error } = await runCommand(t, words.split(" "), { input, env });
    assert.deepEqual([code, error], [0, ""], words);
    return rest;
  };
  assert.deepEqual(await run("queue send shop orders tea --id 1 --key k --header a=b"), ["1"]);
  const [receipt] = await run("queue send shop orders --json", '{"milk":2}\n');
  const { duplicate, stored } = JSON.parse(receipt);
  assert.deepEqual([duplicate, stored.at], [false, "hub"]);
  assert.deepEqual(await run("queue send shop orders late --delay 1h --id 3"), ["3"]);
  assert.deepEqual(await run("queue peek shop orders"), ["tea", "{ milk: 2 }", "late"]);
  const [first] = await run("queue peek shop orders --json --max 1");
  const tea = JSON.parse(first);
  assert.deepEqual(tea, { topic: "orders", id: "1", key: "k", headers: { a: "b" }, body: "tea" });
  assert.deepEqual(await run("queue work shop orders --max 2"), ["tea", "{ milk: 2 }"]);
  assert.deepEqual(await run("queue peek shop orders"), ["late"]);

  const bus = await connectTo(t, url);
  const hearing = command(t, ["sub", "shop", "price.*"], env);
  // Nobody tells when somebody subscribes, so the price is told until it is heard.
  let heard;
  void hearing.line().then((line) => (heard = line));
  await until(async () => {
    await bus.publish("price.eu", "3");
    return heard !== undefined;
  });
  assert.equal(heard, "3");
  hearing.kill("SIGINT");
  assert.equal((await hearing.end()).code, 0);
});

test("cli: a hub that does not answer is told, with the code 1", async (t) => {
  const words = ["pub", "shop", "a", "x", "--hub", "ws://127.0.0.1:1", "--timeout", "200ms"];
  const { code, error } = await runCommand(t, words);
  assert.equal(code, 1);
  assert.match(error, /^tabmq: TIMEOUT: /);
});
