import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { jwt } from "virtual:hub";

import type { JwtClaims, JwtGrant } from "../hub/jwt.js";
import type { AuthorizeContext, Grant } from "../hub/types.js";
import { UsageError } from "./words.js";

/** Digests take as long to compare for a wrong token as for one that is nearly right. */
const digest = (token: string) => createHash("sha256").update(token).digest("hex");

export type Authorize = (
  request: Request,
  context: AuthorizeContext,
) => Grant | Promise<Grant>;

/** Lets in who has one of the tokens of a file, one to a line, with every right. */
export async function authorizeByFile(path: string): Promise<Authorize> {
  const users = new Map<string, string>();
  for (const [index, line] of (await read(path)).split("\n").entries()) {
    if (line.trim()) users.set(digest(line.trim()), `token ${index + 1}`);
  }
  if (!users.size) throw new UsageError(`There is no token in ${path}.`);
  return (_, { token = "" }) => {
    const user = users.get(digest(token));
    if (user === undefined) throw new Error("no such token");
    const all = ["#"];
    return { user, publish: all, subscribe: all, consume: all, serve: all, call: all, admin: true };
  };
}

/** What the options say of JSON Web Tokens; one of the first two is there. */
interface JwtWords {
  readonly jwks: string | undefined;
  readonly secret_file: string | undefined;
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
}

/** The claim in which the rights stand, as `Grant` has them. */
const CLAIM = "tabmq";
const RIGHTS = ["publish", "subscribe", "consume", "serve", "call", "admin"] as const;

/** Lets in who has a token of the issuer, with the rights in its claim `tabmq`. */
export async function authorizeByJwt(words: JwtWords): Promise<Authorize> {
  const { jwks, secret_file, issuer, audience } = words;
  if (issuer === undefined || audience === undefined)
    throw new UsageError("Tokens are told from others by --issuer and --audience: give both.");
  const checks = { issuer, audience, grant: rightsOf };
  if (secret_file === undefined) return jwt({ ...checks, jwks: jwks as string });
  return jwt({ ...checks, secret: (await read(secret_file)).trim() });
}

function rightsOf(claims: JwtClaims): JwtGrant {
  const given = claims[CLAIM];
  if (typeof given !== "object" || given === null)
    throw new Error(`the claim "${CLAIM}" is not there`);
  const rights = given as Readonly<Record<string, unknown>>;
  const known = RIGHTS.filter((name) => rights[name] !== undefined);
  return Object.fromEntries(known.map((name) => [name, rights[name]])) as JwtGrant;
}

async function read(path: string): Promise<string> {
  try {
    return new TextDecoder().decode(await readFile(path));
  } catch (error) {
    throw new UsageError(`The tokens can't be read: ${(error as Error).message}.`);
  }
}
