import { createHash } from "node:crypto";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { platform } from "node:process";

import { codeOf, remove } from "./system.js";

/**
 * Node has no lock that ends with its process, but a socket that listens does. It is a courtesy:
 * what keeps two writers apart is the claim, which also holds where sockets do not reach.
 * Resolves with what gives it back, or with nothing while another process has it.
 */
export async function lock(identity: string): Promise<(() => Promise<void>) | undefined> {
  const address = addressOf(createHash("sha256").update(identity).digest("hex").slice(0, 32));
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

function listen(path: string): Promise<() => Promise<void>> {
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
