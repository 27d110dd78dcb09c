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
import { authorizeByFile, authorizeByJwt } from "./tokens.js";
import { UsageError, type Values, wholeNumber } from "./words.js";

export const SERVE_OPTIONS = {
  data: "text",
  port: "text",
  host: "text",
  origins: "texts",
  anonymous: "flag",
  "token-file": "text",
  "jwt-secret-file": "text",
  jwks: "text",
  issuer: "text",
  audience: "text",
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
  const authorize = await authorizeBy(options, host);
  const storage = options.data === undefined ? undefined : await makeFolder(options.data);
  const { anonymous, metrics, issuer } = options;
  const tokens = authorize !== undefined;
  const start: Start = { version, storage, anonymous, tokens, issuer, origins, metrics };
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

/** Who comes in, as the options say: they name one way at most. */
async function authorizeBy(options: Options, host: string) {
  const { anonymous, jwks, issuer, audience } = options;
  const file = options["token-file"];
  const secret_file = options["jwt-secret-file"];
  const is_jwt = jwks !== undefined || secret_file !== undefined;
  if (anonymous && (file !== undefined || is_jwt))
    throw new UsageError("--anonymous lets everybody in, and tokens do not: choose one.");
  const ways = [file, jwks, secret_file].filter((way) => way !== undefined);
  if (ways.length > 1)
    throw new UsageError("--token-file, --jwks and --jwt-secret-file are three ways: choose one.");
  if (is_jwt) return authorizeByJwt({ jwks, secret_file, issuer, audience });
  if (issuer !== undefined || audience !== undefined)
    throw new UsageError("--issuer and --audience are for --jwks and --jwt-secret-file.");
  if (file !== undefined) return authorizeByFile(file);
  const is_local = isLoopbackName(host.includes(":") ? `[${host}]` : host);
  if (!anonymous && !is_local)
    throw new UsageError(
      `Others than this machine may reach ${host}, and nothing says yet who they are: add`
        + " --token-file FILE with their tokens, --jwks URL with the keys of their issuer,"
        + " --anonymous to let everybody in with every right, or leave --host out.",
    );
  return undefined;
}

/** What is told once, beside the address. */
interface Start {
  readonly version: string;
  readonly storage: string | undefined;
  readonly anonymous: boolean;
  readonly tokens: boolean;
  /** Of JSON Web Tokens. */
  readonly issuer: string | undefined;
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
    `  let in: ${visitors(start)}`,
    `  pages: ${origins.length ? origins.join(", ") : "of this machine"}`,
    ...(metrics ? [`  metrics: ${url.replace("ws:", "http:")}/metrics`] : []),
  ];
}

type Visitors = Pick<Start, "anonymous" | "tokens" | "issuer">;

function visitors({ anonymous, tokens, issuer }: Visitors): string {
  if (issuer !== undefined) return `who has a token of ${issuer}, with the rights in it`;
  const who = anonymous ? "everybody who reaches it" : "programs on this machine";
  return `${tokens ? "who has a token of the file" : who}, with every right`;
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
