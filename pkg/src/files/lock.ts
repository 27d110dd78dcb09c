import { createHash } from "node:crypto";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { platform } from "node:process";

import { codeOf, identity, remove } from "./system.js";

const LOCK_FILE = "lock";

type Unlock = () => Promise<void>;

/** What is needed of Deno. */
interface LockingRuntime {
  open(path: string, options: { write: true; create: true }): Promise<{
    tryLock?(exclusive: boolean): Promise<boolean>;
    close(): void;
  }>;
}

/**
 * Keeps other processes out of a folder until this one ends. It is a courtesy: what keeps two
 * writers apart is the claim, which also holds where locks do not reach. Resolves with what gives
 * it back, or with nothing while another process has it.
 */
export async function lock(folder: string): Promise<Unlock | undefined> {
  const { Deno } = globalThis as { Deno?: LockingRuntime };
  return Deno ? lockFile(Deno, join(folder, LOCK_FILE)) : lockSocket(await identity(folder));
}

/** Deno has locks on files; for a socket it wants a permission that nothing else here needs. */
async function lockFile(deno: LockingRuntime, path: string): Promise<Unlock | undefined> {
  const file = await deno.open(path, { write: true, create: true });
  if (await (file.tryLock?.(true) ?? true)) return async () => file.close();
  file.close();
  return undefined;
}

/** Node and Bun have no lock that ends with its process, but a socket that listens does. */
async function lockSocket(name: string): Promise<Unlock | undefined> {
  const address = addressOf(createHash("sha256").update(name).digest("hex").slice(0, 32));
  const isFile = platform !== "linux" && platform !== "win32";
  try {
    return await listen(address);
  } catch (error) {
    if (codeOf(error) !== "EADDRINUSE") return async () => {};
  }
  if (!isFile || (await answers(address))) return undefined;
  // The file of a socket outlives its process.
  await remove(address);
  return listen(address).catch((): undefined => undefined);
}

function addressOf(name: string): string {
  if (platform === "linux") return `\0tabmq-${name}`;
  return platform === "win32" ? `\\\\?\\pipe\\tabmq-${name}` : join(tmpdir(), `tabmq-${name}`);
}

function listen(path: string): Promise<Unlock> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.destroy());
    server.on("error", reject);
    // Processes of a cluster would share it otherwise.
    server.listen({ path, exclusive: true }, () => {
      server.unref();
      resolve(() => new Promise((closed) => server.close(() => closed())));
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(path);
    const end = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.on("connect", end(true));
    socket.on("error", end(false));
  });
}
