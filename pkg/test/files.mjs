// What the tests of files share: folders, processes, and a system that fails.
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";

import { connect } from "tabmq";

import { all } from "./helpers.mjs";

/** A folder that goes away after the test. */
export function temporaryFolder(t) {
  const folder = fs.mkdtempSync(join(tmpdir(), "tabmq-files-"));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** From now on no lock keeps two writers of this process apart. */
export function withoutLock(t) {
  t.mock.method(net.Server.prototype, "listen", function listen(_, done) {
    done();
    return this;
  });
}

/** The same, in a process of its own. */
export const WITHOUT_LOCK = `
  import net from "node:net";
  net.Server.prototype.listen = function (_, done) { done(); return this; };`;

/** In a module of its own: says a line at once, however slowly it is read. */
export const SAY = `
  const { writeSync: write } = await import("node:fs");
  const say = (line) => {
    for (;;) {
      try {
        return write(1, line + "\\n");
      } catch (error) {
        if (error.code !== "EAGAIN") throw error;
      }
    }
  };`;

/** What changes a disk. */
export const EFFECTS = [
  "mkdir",
  "open",
  "write",
  "fdatasync",
  "fsync",
  "ftruncate",
  "rename",
  "unlink",
];

/** The next call of one function of `fs` that `concerns` says yes to fails with this code. */
export function failOnce(t, name, code, concerns = () => true) {
  const before = fs[name];
  let failed = false;
  t.mock.method(fs, name, (...parameters) => {
    if (failed || !concerns(...parameters)) return before.apply(fs, parameters);
    failed = true;
    const error = Object.assign(new Error(`${code}: as the test has it`), { code });
    return setImmediate(parameters.at(-1), error);
  });
  return () => failed;
}

/** Runs a module in a process of its own, which says what it has done line by line. */
export function startScript(script, flags = []) {
  const child = spawn(process.execPath, [...flags, "--input-type=module", "-e", script], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    kill: () => child.kill("SIGKILL"),
    signal: (name) => child.kill(name),
    ended: once(child, "close"),
    /** Nothing once it has ended. */
    line: async () => (await lines.next()).value,
    /** All lines that are left. */
    rest: async () => {
      const rest = [];
      for await (const line of lines) rest.push(line);
      return rest;
    },
  };
}

/** What lies in the queue of a bus that has the name of its folder. */
export async function bodies(folder) {
  const bus = await connect(basename(folder), { storage: folder });
  const queue = bus.queue("jobs");
  await queue.ready();
  const found = (await all(queue.browse())).map(({ body }) => body);
  await bus.close();
  return found;
}
