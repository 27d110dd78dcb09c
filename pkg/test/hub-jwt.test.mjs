// Tokens that `jose` makes, and what a hub does with them.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";

import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { createBus } from "tabmq";
import { jwt } from "tabmq/node";

import { until } from "./helpers.mjs";
import { openHub, post } from "./hub-server.mjs";

const SECRET = "a secret of thirty-two bytes or more";
const ISSUER = "https://login.example";
const AUDIENCE = "tabmq";
const bytes = (text) => new TextEncoder().encode(text);
const now_s = () => Math.floor(Date.now() / 1000);

/** What stands in a token that is right, unless it is given. */
const claims = (more = {}) => ({
  iss: ISSUER,
  aud: AUDIENCE,
  sub: "ann",
  exp: now_s() + 600,
  orders: true,
  ...more,
});
const sign = (payload, header = { alg: "HS256" }, key = bytes(SECRET)) =>
  new SignJWT(payload).setProtectedHeader(header).sign(key);

const CHECKS = {
  issuer: ISSUER,
  audience: AUDIENCE,
  grant: ({ orders }) => ({ publish: orders ? ["orders.#"] : [] }),
};
const bySecret = (more) => jwt({ secret: SECRET, ...CHECKS, ...more });

function enter(t, url, token) {
  const bus = createBus("shop", { hub: { url, token }, user: crypto.randomUUID() });
  t.after(() => bus.close());
  return bus;
}

/** The code with which a token is refused at both doors, and what the log says of it. */
async function refusalOf(t, { url, http, log }, token) {
  const before = log.length;
  const error = await enter(t, url, token).ready().catch((reason) => reason);
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const { status, json } = await post(`${http}/shop/queues/orders.new`, "x", headers);
  assert.deepEqual([status, json.code], [403, "NOT_AUTHORIZED"]);
  assert.deepEqual([json.message, json.data], ["not authorized", {}]);
  const whys = () =>
    log.slice(before).filter(({ event }) => event === "refused").map(({ why }) => why);
  await until(() => whys().length === 2);
  const [first, second] = whys();
  assert.equal(first, second);
  const word = first.replace("authorize: ", "");
  assert.ok(!error.message.includes(word), `${error.message} tells why`);
  return [error.code, first];
}

test("jwt: a token that is right brings what grant gives, until it ends", async (t) => {
  const { url, http } = await openHub(t, { authorize: bySecret() });
  const bus = enter(t, url, await sign(claims()));
  assert.equal((await bus.queue("orders.new").send(1, { confirm: "hub" })).stored.at, "hub");
  const refused = { code: "NOT_AUTHORIZED" };
  await assert.rejects(bus.queue("wages").send(1, { confirm: "hub" }), refused);
  const as = async (payload) => ({ authorization: `Bearer ${await sign(payload)}` });
  const posted = async (payload) =>
    (await post(`${http}/shop/queues/orders.new`, "x", await as(payload))).status;
  assert.equal(await posted(claims()), 202);
  assert.equal(await posted(claims({ aud: ["other", AUDIENCE] })), 202);
  assert.equal(await posted(claims({ orders: false })), 403);
});

test("jwt: a grant ends with its token, and its user is sub or what grant says", async () => {
  const context = { bus: "shop", renewal: false };
  const request = new Request("http://localhost/shop");
  const exp = now_s() + 60;
  const token = await sign(claims({ exp }));
  const granted = (more) => bySecret(more)(request, { ...context, token });
  assert.deepEqual(await granted(), {
    user: "ann",
    publish: ["orders.#"],
    expires: new Date(exp * 1000),
  });
  const sooner = new Date(Date.now() + 1000);
  const told = await granted({ grant: () => ({ user: "kitchen", expires: sooner, admin: true }) });
  assert.deepEqual(told, { user: "kitchen", expires: sooner, admin: true });
  const later = await granted({ grant: () => ({ expires: new Date(Date.now() + 1e9) }) });
  assert.deepEqual(later.expires, new Date(exp * 1000));
});

test("jwt: a client whose token ends hands over the next one on its socket", async (t) => {
  const { url, log } = await openHub(t, { authorize: bySecret() });
  let given = 0;
  const token = async () => {
    given += 1;
    return sign(claims({ exp: now_s() + (given === 1 ? 4 : 600) }));
  };
  const bus = enter(t, url, token);
  await bus.ready();
  const ends_s = now_s() + 5;
  await until(() => given === 2 && now_s() >= ends_s);
  assert.deepEqual(log.filter(({ event }) => event === "disconnected"), []);
  await bus.queue("orders.new").send(1, { confirm: "hub" });
});

test("jwt: what is wrong with a token is told to the log, and to nobody else", async (t) => {
  const hub = await openHub(t, { authorize: bySecret({ clockTolerance: 0 }) });
  const good = await sign(claims());
  const { privateKey } = await generateKeyPair("RS256");
  const without = (name) => {
    const { [name]: _, ...rest } = claims();
    return sign(rest);
  };
  const [head, , signature] = good.split(".");
  const changed = btoa(JSON.stringify(claims({ sub: "boss" }))).replaceAll("=", "");
  const tokens = [
    ["expired", sign(claims({ exp: now_s() - 10 })), /"exp" claim timestamp check failed/],
    ["not yet valid", sign(claims({ nbf: now_s() + 600 })), /"nbf" claim/],
    ["of another issuer", sign(claims({ iss: "https://evil.example" })), /"iss" claim/],
    ["for another audience", sign(claims({ aud: "bank" })), /"aud" claim/],
    ["of another key", sign(claims(), undefined, bytes(`${SECRET}!`)), /signature/],
    ["of another algorithm", sign(claims(), { alg: "HS512" }, bytes(SECRET.repeat(2))), /"alg"/],
    ["with a key pair", sign(claims(), { alg: "RS256" }, privateKey), /"alg"/],
    ["with alg none", new UnsecuredJWT(claims()).encode(), /Invalid|alg/],
    ["changed", `${head}.${changed}.${signature}`, /signature/],
    ["malformed", "abc", /Invalid Compact JWS/],
    ["empty parts", "..", /Invalid|JWS/],
    ["without an end", without("exp"), /"exp" claim/],
    ["without sub", without("sub"), /"sub" claim/],
    ["with a sub that is none", sign(claims({ sub: 7 })), /"sub"/],
    ["without an issuer", without("iss"), /"iss" claim/],
    ["absent", undefined, /no token/],
  ];
  for (const [what, made, why] of tokens) {
    const [code, told] = await refusalOf(t, hub, await made);
    assert.equal(code, "NOT_AUTHORIZED", what);
    assert.match(told, why, what);
    assert.ok(!told.includes(String(await made).slice(0, 20)) || (await made) === undefined, what);
  }
  assert.ok(!hub.log.some(({ event }) => event === "bus-opened"));
  const grant = () => Promise.reject(new Error("no such member"));
  const late = await openHub(t, { authorize: bySecret({ grant }) });
  assert.deepEqual(await refusalOf(t, late, good), ["NOT_AUTHORIZED", "authorize: no such member"]);
});

/** The keys of an issuer on this machine. */
async function keyServer(t) {
  const served = { keys: [], status: 200, asked: 0 };
  const server = createServer((_, response) => {
    served.asked += 1;
    response.writeHead(served.status, { "content-type": "application/json" });
    response.end(JSON.stringify({ keys: served.keys }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  served.url = `http://127.0.0.1:${server.address().port}/jwks`;
  return served;
}

async function keyOf(alg, kid) {
  const { publicKey, privateKey } = await generateKeyPair(alg);
  const key = { ...(await exportJWK(publicKey)), kid, alg, use: "sig" };
  return { key, sign: (payload) => sign(payload, { alg, kid }, privateKey) };
}

test("jwt: keys are fetched, and those that come later as well", async (t) => {
  const served = await keyServer(t);
  const [first, second, stranger] = await Promise.all([
    keyOf("ES256", "1"),
    keyOf("RS256", "2"),
    keyOf("ES256", "1"),
  ]);
  const authorize = jwt({ jwks: served.url, jwksCooldown: 0, ...CHECKS });
  const hub = await openHub(t, { authorize });
  served.keys = [first.key];
  await enter(t, hub.url, await first.sign(claims())).ready();
  await enter(t, hub.url, await first.sign(claims())).ready();
  assert.equal(served.asked, 1);
  const [code, why] = await refusalOf(t, hub, await second.sign(claims()));
  assert.equal(code, "NOT_AUTHORIZED");
  assert.match(why, /no applicable key found/);
  // The issuer changes its key: the next token brings it, and the old one ends.
  served.keys = [second.key];
  await enter(t, hub.url, await second.sign(claims())).ready();
  assert.equal((await refusalOf(t, hub, await first.sign(claims())))[0], "NOT_AUTHORIZED");
  served.keys = [first.key];
  const forged = await refusalOf(t, hub, await stranger.sign(claims()));
  assert.equal(forged[0], "NOT_AUTHORIZED");
  // The public key as a secret, which is what everybody has.
  const known = bytes(JSON.stringify(first.key));
  const confused = await sign(claims(), { alg: "HS256", kid: "1" }, known);
  assert.match((await refusalOf(t, hub, confused))[1], /"alg"/);
  const none = new UnsecuredJWT(claims()).encode();
  assert.equal((await refusalOf(t, hub, none))[0], "NOT_AUTHORIZED");
});

test("jwt: an unknown key has the keys fetched only so often", async (t) => {
  const served = await keyServer(t);
  const [known, unknown] = await Promise.all([keyOf("ES256", "1"), keyOf("ES256", "2")]);
  served.keys = [known.key];
  const hub = await openHub(t, { authorize: jwt({ jwks: served.url, ...CHECKS }) });
  await enter(t, hub.url, await known.sign(claims())).ready();
  for (let count = 0; count < 5; count += 1)
    await refusalOf(t, hub, await unknown.sign(claims()));
  assert.equal(served.asked, 1);
});

test("jwt: while the keys can't be had nobody is refused for good", async (t) => {
  const served = await keyServer(t);
  const key = await keyOf("EdDSA", "1");
  served.keys = [key.key];
  served.status = 500;
  const hub = await openHub(t, { authorize: jwt({ jwks: served.url, ...CHECKS }) });
  const token = await key.sign(claims());
  const headers = { authorization: `Bearer ${token}` };
  const { status, json } = await post(`${hub.http}/shop/queues/orders.new`, "x", headers);
  assert.deepEqual([status, json.code], [503, "UNAVAILABLE"]);
  assert.match(hub.log.find(({ event }) => event === "refused").why, /the keys can't be had/);
  const bus = enter(t, hub.url, token);
  const ready = bus.ready();
  await until(() => served.asked >= 2);
  served.status = 200;
  await ready;
  const away = await openHub(t, { authorize: jwt({ jwks: "http://127.0.0.1:1/", ...CHECKS }) });
  const answer = await post(`${away.http}/shop/queues/orders.new`, "x", headers);
  assert.deepEqual([answer.status, answer.json.code], [503, "UNAVAILABLE"]);
});

test("jwt: options that are none are refused", () => {
  const wrong = [
    { ...CHECKS },
    { ...CHECKS, secret: SECRET, jwks: "https://login.example/jwks" },
    { ...CHECKS, secret: "short" },
    { ...CHECKS, jwks: "http://login.example/jwks" },
    { ...CHECKS, jwks: "nowhere" },
    { ...CHECKS, secret: SECRET, issuer: undefined },
    { ...CHECKS, secret: SECRET, audience: [] },
    { ...CHECKS, secret: SECRET, grant: "all" },
    { ...CHECKS, secret: SECRET, clockTolerance: "soon" },
    { ...CHECKS, secret: SECRET, algorithms: ["none"] },
  ];
  for (const options of wrong)
    assert.throws(() => jwt(options), { code: "INVALID" }, JSON.stringify(options));
});
