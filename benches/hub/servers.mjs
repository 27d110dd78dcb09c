// The servers that are compared, each in a process of its own, on free ports of this machine.
import { spawn } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const HUB = join(import.meta.dirname, "server.mjs");
const NATS = join(import.meta.dirname, "../../target/bench-nats/bin/nats-server");
const START_MS_MAX = 20_000;

/** A server that runs: where, and how it ends. */
class Server {
  constructor(child, url) {
    this.url = url;
    this.child = child;
  }

  async stop() {
    if (this.child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGTERM");
    await ended;
  }
}

function run(command, args) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  child.on("error", () => {});
  return child;
}

/** The first answer that `find` gives to a line of the server. */
async function firstLine(child, stream, find) {
  const lines = createInterface({ input: stream });
  const patience = setTimeout(() => child.kill("SIGKILL"), START_MS_MAX);
  const said = [];
  try {
    for await (const line of lines) {
      said.push(line);
      const found = find(line);
      if (found === undefined) continue;
      // What it says later must not fill the pipe.
      stream.resume();
      return found;
    }
  } finally {
    clearTimeout(patience);
  }
  throw new Error(`a server did not start: ${said.join("\n")}`);
}

export async function hub(folder) {
  const child = run(process.execPath, [...process.execArgv, HUB, folder]);
  child.stderr.pipe(process.stderr);
  return new Server(child, await firstLine(child, child.stdout, (line) => line));
}

/** `sync` is how often JetStream syncs its files: `always`, or undefined for its default. */
export async function nats(folder, sync) {
  const config = join(folder, "nats.conf");
  const interval = sync ? `, sync_interval: ${sync}` : "";
  const lines = [
    "listen: 127.0.0.1:-1",
    `jetstream { store_dir: ${JSON.stringify(folder)}${interval} }`,
    'websocket { listen: "127.0.0.1:-1", no_tls: true, compression: false }',
  ];
  fs.writeFileSync(config, lines.join("\n"));
  const child = run(NATS, ["-c", config]);
  child.stdout.resume();
  const url = await firstLine(child, child.stderr, (line) => {
    return /Listening for websocket clients on (ws:\S+)/.exec(line)?.[1];
  });
  return new Server(child, url);
}

/** `which` is `hub`, or `hand` for one written by hand. */
export async function object(which, folder) {
  const child = run(process.execPath, [join(import.meta.dirname, "objects.mjs"), which, folder]);
  child.stderr.resume();
  return new Server(child, await firstLine(child, child.stdout, (line) => line));
}

export async function echo() {
  const child = run(process.execPath, [join(import.meta.dirname, "echo.mjs")]);
  child.stderr.resume();
  const url = await firstLine(child, child.stdout, (line) => line);
  return new Server(child, url);
}
