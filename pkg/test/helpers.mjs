import { randomUUID } from "node:crypto";

import { createBus } from "tabmq";

import { AT_HUB, IN_MEMORY, optionsAt, startNode, turn } from "./place.mjs";

export { AT_HUB, IN_MEMORY, runScript } from "./place.mjs";
/** What a case says that is for a host which keeps nothing. */
export const inMemory = { skip: !IN_MEMORY && "the host stores everything" };
/** Where what is stored lies. */
export const HOME = AT_HUB ? "hub" : "device";
/** Why a case says nothing about a hub. */
export const notAtHub = (why) => ({ skip: AT_HUB && why });

const newName = () => `test-${randomUUID()}`;

function open(t, name, options) {
  const bus = createBus(name, optionsAt(t, name, options));
  t.after(() => bus.close());
  return bus;
}

/** A bus of its own, closed after the test. */
export const openBus = (t, options) => open(t, newName(), options);

/** The same, ready. Its node is in another tab if the test runs in one. */
export async function connectBus(t, options) {
  const name = newName();
  const node = await startNode(name, options);
  const bus = open(t, name, options);
  t.after(node.stop);
  await bus.ready();
  node.requireElsewhere(bus);
  return bus;
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
  while (!(await question())) await turn();
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
