// One run of the harness: its id, its folders, and the promise that nothing of it is left.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  commandLine,
  findProcess,
  hasEnvironment,
  listProcesses,
  ownAncestors,
} from "./processes.mjs";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const MARKER = "TABMQ_TEST_RUN";
const OWN_MARKER = "TABMQ_BROWSER_RUN";

let run_count = 0;

export class Run {
  #groups = new Map();
  #reaper;
  #reaped;
  #profile_count = 0;
  #over = false;

  /** The id comes from the caller's TABMQ_TEST_RUN, so that it can look for leftovers too. */
  constructor(id = process.env[MARKER] ?? `${Date.now().toString(36)}`) {
    this.id = id;
    // Runs may share one id, so each has a folder and a marker of its own.
    run_count += 1;
    const own = `${process.pid}-${run_count}`;
    this.own_id = `${id}/${own}`;
    this.profiles = join(ROOT, "target", "browser-profiles", id, own);
    this.screenshots = join(ROOT, "target", "screenshots");
    mkdirSync(this.profiles, { recursive: true });
    mkdirSync(this.screenshots, { recursive: true });
    // Socket paths may not exceed 107 bytes, so they do not go below the profiles.
    this.scratch = mkdtempSync(join(tmpdir(), "tabmq-"));
    this.#startReaper();
  }

  /** Environment of every process of this run. */
  environment(extra = {}) {
    const own = { [MARKER]: this.id, [OWN_MARKER]: this.own_id, TMPDIR: this.scratch };
    return { ...process.env, ...own, ...extra };
  }

  newProfile(name) {
    // A signal may end the run between two cases: the next browser would outlive it.
    if (this.#over) throw new Error("the run is over");
    this.#profile_count += 1;
    const path = join(this.profiles, `${name}-${this.#profile_count}`);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Names a process group whose members end with this run. */
  addGroup(leader) {
    const started_ticks = findProcess(leader)?.started_ticks;
    if (started_ticks === undefined) return;
    this.#groups.set(leader, started_ticks);
    this.#reaper.stdin.write(`${leader} ${started_ticks}\n`);
  }

  /** Processes and folders of this run that still exist, as readable lines. */
  leftovers() {
    const spared = ownAncestors().add(this.#reaper.pid);
    const processes = listProcesses().filter(({ pid, group }) => {
      if (spared.has(pid)) return false;
      // Chromium's renderers write their title over their environment, but keep the profile
      // on their command line.
      if (this.#isOurGroup(group) || commandLine(pid).includes(this.profiles)) return true;
      return hasEnvironment(pid, OWN_MARKER, this.own_id);
    });
    const folders = [this.profiles, this.scratch].filter((path) => existsSync(path));
    return [
      ...processes.map(({ pid }) => `process ${pid} ${commandLine(pid).slice(0, 200)}`),
      ...folders.map((path) => `folder ${path}`),
    ];
  }

  /** Ends every process, deletes every profile, and fails if anything is left. */
  async finish() {
    this.#over = true;
    this.#reaper.stdin.end();
    const code = await this.#reaped;
    const left = this.leftovers();
    if (code !== 0) left.push(`the reaper ended with ${code}`);
    if (left.length > 0) throw new Error(`left behind:\n  ${left.join("\n  ")}`);
  }

  #isOurGroup(group) {
    if (!this.#groups.has(group)) return false;
    const leader = findProcess(group);
    return leader === undefined || leader.started_ticks === this.#groups.get(group);
  }

  #startReaper() {
    const script = join(dirname(fileURLToPath(import.meta.url)), "reaper.mjs");
    const args = [script, OWN_MARKER, this.own_id, this.profiles, this.scratch];
    this.#reaper = spawn(process.execPath, args, {
      // A session of its own: a signal to our group must not end it before its work is done.
      detached: true,
      stdio: ["pipe", "ignore", "inherit"],
    });
    this.#reaper.stdin.on("error", () => {});
    this.#reaped = new Promise((resolve) => this.#reaper.on("exit", (code) => resolve(code)));
  }
}
