import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import process from "node:process";
import { createHub, serveHub } from "virtual:hub";

import type { HubLogEntry } from "../hub/log.js";
import { isLoopbackName } from "../hub/options.js";
import type { HubServerOptions, ServedHub } from "../hub/types.js";
import { logLine, printJson, printLine } from "./print.js";
import { onSignal } from "./signals.js";
import { PORT } from "./usage.js";
import { authorizeByFile } from "./tokens.js";
import { UsageError, type Values, wholeNumber } from "./words.js";

export const SERVE_OPTIONS = {
  data: "text",
  port: "text",
  host: "text",
  origins: "texts",
  anonymous: "flag",
  "token-file": "text",
  metrics: "flag",
  json: "flag",
  help: "flag",
} as const;

type Options = Values<typeof SERVE_OPTIONS>;

const PORT_MAX = 65_535;

/** Runs a hub until a signal comes. Throws `UsageError` if it can't begin. */
export async function serve(options: Options, version: string): Promise<void> {
  const port = wholeNumber(options.port ?? String(PORT), "--port", PORT_MAX);
  const host = options.host ?? "127.0.0.1";
  const origins = options.origins.flatMap((list) => list.split(",")).map(checkOrigin);
  const file = options["token-file"];
  if (options.anonymous && file !== undefined)
    throw new UsageError("--anonymous lets everybody in, and --token-file does not: choose one.");
  const is_local = isLoopbackName(host.includes(":") ? `[${host}]` : host);
  if (!options.anonymous && file === undefined && !is_local)
    throw new UsageError(
      `Others than this machine may reach ${host}, and nothing says yet who they are: add`
        + " --token-file FILE with their tokens, --anonymous to let everybody in with every right,"
        + " or leave --host out.",
    );
  const storage = options.data === undefined ? undefined : await makeFolder(options.data);
  const { anonymous, metrics } = options;
  const authorize = file === undefined ? undefined : await authorizeByFile(file);
  const tokens = authorize !== undefined;
  const start: Start = { version, storage, anonymous, tokens, origins, metrics };
  const print = options.json ? printJson : people;
  const made: HubServerOptions = {
    metrics,
    log: (entry) => print({ time: new Date(), ...entry, ...(isFirst(entry) && start) }),
    ...(anonymous && { authorize: "anonymous" }),
    ...(authorize && { authorize }),
    ...(origins.length && { origins }),
    ...(storage !== undefined && { storage }),
  };
  // From now on, so that whoever reads the first line may send one.
  const asked = new Promise<void>((done) => onSignal(done));
  const served = await listen(made, port, host);
  await asked;
  await served.close();
  // A handler of an application could keep the process, but here is none.
  process.exit(0);
}

/** What is told once, beside the address. */
interface Start {
  readonly version: string;
  readonly storage: string | undefined;
  readonly anonymous: boolean;
  readonly tokens: boolean;
  readonly origins: readonly string[];
  readonly metrics: boolean;
}
type Line = HubLogEntry & { readonly time: Date } & Partial<Start>;

const isFirst = ({ event }: HubLogEntry) => event === "listening";

function people({ time, ...entry }: Line): void {
  if (entry.event !== "listening") return printLine(logLine(entry, time));
  for (const line of startLines(entry as typeof entry & Start)) printLine(line);
}

function startLines({ url, ...start }: Start & { readonly url: string }): string[] {
  const { version, storage, origins, metrics } = start;
  return [
    `tabmq ${version} listens on ${url}`,
    storage === undefined
      ? "  messages: in memory, and gone when it ends (--data FOLDER keeps them)"
      : `  messages: in ${storage}`,
    `  let in: ${visitors(start)}, with every right`,
    `  pages: ${origins.length ? origins.join(", ") : "of this machine"}`,
    ...(metrics ? [`  metrics: ${url.replace("ws:", "http:")}/metrics`] : []),
  ];
}

function visitors({ anonymous, tokens }: Pick<Start, "anonymous" | "tokens">): string {
  if (tokens) return "who has a token of the file";
  return anonymous ? "everybody who reaches it" : "programs on this machine";
}

function checkOrigin(origin: string): string {
  if (origin === "*" || (URL.canParse(origin) && new URL(origin).origin === origin)) return origin;
  throw new UsageError(`"${origin}" is no origin, which is like https://shop.example.`);
}

async function makeFolder(path: string): Promise<string> {
  const folder = resolve(path);
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new UsageError(`The folder ${folder} can't be made: ${(error as Error).message}.`);
  }
  return folder;
}

const REFUSALS: Readonly<Record<string, string>> = {
  EADDRINUSE: "it is taken",
  EACCES: "this user may not",
  EADDRNOTAVAIL: "this machine has no such address",
  ENOTFOUND: "there is no such name",
};

async function listen(options: HubServerOptions, port: number, host: string): Promise<ServedHub> {
  const hub = createHub(options);
  try {
    return await serveHub({ hub, port, host });
  } catch (error) {
    const { code = "", message } = error as Error & { code?: string };
    const why = REFUSALS[code] ?? message;
    throw new UsageError(`Port ${port} of ${host} can't be listened on: ${why}.`);
  }
}
