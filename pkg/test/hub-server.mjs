// Hubs of this process, and commands in processes of their own.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { connect } from "tabmq";
import { createHub, serveHub } from "tabmq/node";

const CLI = join(import.meta.dirname, "../dist/cli.js");

/** A hub that listens until the test is over, and what it said. */
export async function openHub(t, options = {}) {
  const log = [];
  const hub = createHub({ log: (entry) => log.push(entry), ...options });
  const served = await serveHub({ hub });
  t.after(() => served.close());
  return { hub, served, log, url: served.url, http: served.url.replace("ws:", "http:") };
}

/** A client of a hub that is closed when the test is over. */
export async function connectTo(t, url, name = "shop") {
  const bus = await connect(name, { hub: url });
  t.after(() => bus.close());
  return bus;
}

/** What is posted there, with the parts of the answer that tests look at. */
export async function post(address, body, headers = {}, more = {}) {
  const response = await fetch(address, { method: "POST", body, headers, ...more });
  return { status: response.status, headers: response.headers, json: await response.json() };
}

/** A command that runs in a process of its own. */
export function command(t, words, env = {}) {
  const child = spawn(process.execPath, [CLI, ...words], { env: { ...process.env, ...env } });
  t.after(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const errors = [];
  child.stderr.setEncoding("utf8").on("data", (text) => errors.push(text));
  const closed = once(child, "close");
  return {
    stdin: child.stdin,
    line: async () => (await lines.next()).value,
    kill: (signal) => child.kill(signal),
    /** How it ended, with the lines that nobody has read. */
    end: async () => {
      const rest = [];
      for await (const line of lines) rest.push(line);
      const [code, signal] = await closed;
      return { code, signal, rest, error: errors.join("") };
    },
  };
}

/** What a command does that ends by itself. */
export function runCommand(t, words, { input = "", env } = {}) {
  const running = command(t, words, env);
  running.stdin.end(input);
  return running.end();
}

/** `tabmq serve` at a free port, with what it said first. */
export async function serveCommand(t, ...words) {
  const running = command(t, ["serve", "--port", "0", "--json", ...words]);
  const first = JSON.parse(await running.line());
  return { ...running, first, url: first.url };
}
