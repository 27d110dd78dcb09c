// Where the buses of a test are, when Node.js runs it. Pages have tabs/place.mjs instead of it.
import { execFileSync } from "node:child_process";

/**
 * With this in the environment buses are at a hub, which has the limits that they ask for: `1` in
 * this process, `object` in Durable Objects.
 */
const AT = process.env.TABMQ_TEST_HUB;
export const AT_HUB = AT === "1" || AT === "object";
/** The host keeps nothing. */
export const IN_MEMORY = AT !== "object";
const hubs = AT_HUB && (await import(AT === "object" ? "./objects.mjs" : "./hubs.mjs"));

/** The options of a bus there that does what these ask for. */
export const optionsAt = (t, name, options) => (hubs ? hubs.at(t, name, options) : options);

/** The node comes with the bus, or is a hub: nothing is to be started, looked at or stopped. */
export const startNode = async () => ({ requireElsewhere: () => {}, stop: async () => {} });

/** A turn of the event loop. */
export const turn = () => new Promise((resolve) => setImmediate(resolve));

/** What a module prints that runs in a process of its own. */
export function runScript(script, ...flags) {
  return execFileSync(process.execPath, [...flags, "--input-type=module", "-e", script], {
    cwd: import.meta.dirname,
    encoding: "utf8",
    timeout: 120_000,
  });
}
