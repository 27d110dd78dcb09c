import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

import type { AuthorizeContext, Grant } from "../hub/types.js";
import { UsageError } from "./words.js";

/** Digests take as long to compare for a wrong token as for one that is nearly right. */
const digest = (token: string) => createHash("sha256").update(token).digest("hex");

/** Lets in who has one of the tokens of a file, one to a line, with every right. */
export async function authorizeByFile(
  path: string,
): Promise<(request: Request, context: AuthorizeContext) => Grant> {
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

async function read(path: string): Promise<string> {
  try {
    return new TextDecoder().decode(await readFile(path));
  } catch (error) {
    throw new UsageError(`The tokens can't be read: ${(error as Error).message}.`);
  }
}
