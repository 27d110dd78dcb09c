// Reads /proc: which processes exist, whose children they are, how much they have run.
// Linux only, like the rest of this harness.
import { readFileSync, readdirSync } from "node:fs";

/** Reads one file of /proc, or nothing when the process is gone or not ours to read. */
function readProc(path) {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/**
 * One line of /proc/<pid>/stat. The command name may hold spaces and brackets,
 * so fields are counted from the last closing bracket.
 */
function parseStat(pid, text) {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  if (fields.length < 20) return undefined;
  return {
    pid,
    name: text.slice(text.indexOf("(") + 1, text.lastIndexOf(")")),
    state: fields[0],
    parent: Number(fields[1]),
    group: Number(fields[2]),
    cpu_ticks: Number(fields[11]) + Number(fields[12]),
    started_ticks: Number(fields[19]),
  };
}

/** Memory of a process that is in use and not elsewhere, in pages of 4 KiB. */
export function residentPages(pid) {
  return Number(readProc(`/proc/${pid}/statm`).split(" ")[1] ?? 0);
}

/** The process, or undefined if there is none of that id. Zombies count as gone. */
export function findProcess(pid) {
  const found = parseStat(pid, readProc(`/proc/${pid}/stat`));
  return found === undefined || found.state === "Z" ? undefined : found;
}

/** Every process except zombies, which only wait for their parent to notice. */
export function listProcesses() {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => findProcess(Number(name)))
    .filter((found) => found !== undefined);
}

/** The root and everything below it by parent links. */
export function listDescendants(root, processes = listProcesses()) {
  const known = new Set([root]);
  // A child may be listed before its parent, so repeat until nothing is added.
  for (let before = 0; before !== known.size; ) {
    before = known.size;
    for (const { pid, parent } of processes) if (known.has(parent)) known.add(pid);
  }
  return processes.filter(({ pid }) => known.has(pid));
}

/** True if the process was started with this variable in its environment. */
export function hasEnvironment(pid, variable, value) {
  return readProc(`/proc/${pid}/environ`).split("\0").includes(`${variable}=${value}`);
}

export function commandLine(pid) {
  return readProc(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
}

/** This process and the ones that started it. */
export function ownAncestors() {
  const ancestors = new Set();
  let pid = process.pid;
  while (pid > 0 && !ancestors.has(pid)) {
    ancestors.add(pid);
    pid = findProcess(pid)?.parent ?? 0;
  }
  return ancestors;
}

/** Sends a signal; a process that is already gone is no error. */
export function signal(pid, name) {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if (error.code === "ESRCH") return false;
    throw error;
  }
}

/** Polls until `check` holds. Only for facts about processes, which raise no events here. */
export async function until(check, deadline_ms, what) {
  const end = performance.now() + deadline_ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (performance.now() > end) throw new Error(`not within ${deadline_ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
