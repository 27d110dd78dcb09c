import { execFileSync, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { createBus } from "tabmq";

/**
 * With this in the environment buses are at a hub, which has the limits that they ask for: `1` in
 * this process, `object` in Durable Objects.
 */
const AT = process.env.TABMQ_TEST_HUB;
export const AT_HUB = AT === "1" || AT === "object";
/** The host keeps nothing. */
export const IN_MEMORY = AT !== "object";
/** What a case says of that. */
export const inMemory = { skip: !IN_MEMORY && "an object stores everything" };
/** Where what is stored lies. */
export const HOME = AT_HUB ? "hub" : "device";
/** Why a case says nothing about a hub. */
export const notAtHub = (why) => ({ skip: AT_HUB && why });
const hubs = AT_HUB && (await import(AT === "object" ? "./objects.mjs" : "./hubs.mjs"));

/** A bus of its own, closed after the test. */
export function openBus(t, options) {
  const name = `test-${randomUUID()}`;
  const bus = createBus(name, AT_HUB ? hubs.at(t, name, options) : options);
  t.after(() => bus.close());
  return bus;
}

export async function connectBus(t, options) {
  const bus = openBus(t, options);
  await bus.ready();
  return bus;
}

/** What a module prints that runs in a process of its own. */
export function runScript(script, ...flags) {
  return execFileSync(process.execPath, [...flags, "--input-type=module", "-e", script], {
    cwd: import.meta.dirname,
    encoding: "utf8",
    timeout: 30_000,
  });
}

/** Throws with what the compiler says if TypeScript files are not right by their types. */
export function checkTypes(files) {
  const typescript = createRequire(import.meta.url).resolve("typescript/package.json");
  const compiler = join(dirname(typescript), "bin/tsc");
  const strict = ["--ignoreConfig", "--noEmit", "--strict"];
  const target = ["--module", "nodenext", "--target", "es2022"];
  const libraries = ["--lib", "es2022,dom,dom.iterable,dom.asynciterable,esnext.disposable"];
  const options = [...strict, ...target, ...libraries, "--types", "node"];
  const { status, stdout } = spawnSync(process.execPath, [compiler, ...options, ...files], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stdout);
}

/** A promise and what settles it. */
export function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

/** All that comes of an iterable. */
export async function all(iterable) {
  const found = [];
  for await (const entry of iterable) found.push(entry);
  return found;
}

/** Asks again and again, with a turn of the event loop between, until the answer is yes. */
export async function until(question) {
  while (!(await question())) await new Promise((resolve) => setImmediate(resolve));
}

/** The details of the first `count` events of a type. */
export function events(bus, type, count = 1) {
  const details = [];
  const { promise, resolve } = deferred();
  bus.addEventListener(type, ({ detail }) => {
    details.push(detail);
    if (details.length === count) resolve(details);
  });
  return promise;
}

/** Collects the first `count` messages of a subscription or deliveries of a consumer. */
export async function take(iterable, count) {
  const taken = [];
  for await (const value of iterable) {
    taken.push(value);
    if (taken.length === count) break;
  }
  return taken;
}
