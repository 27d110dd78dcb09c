import fs from "node:fs";
import { platform } from "node:process";

// Each call names `fs` anew: a test may let one fail, or end the process in it.

type Result<T> = (error: Error | null, value: T) => void;

function promise<T = void>(begin: (done: Result<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    begin((error, value) => (error ? reject(error) : resolve(value)));
  });
}

export const open = (path: string, flags: "r" | "wx+") =>
  promise<number>((done) => fs.open(path, flags, done as never));

export const close = (file: number) => promise((done) => fs.close(file, done as never));

/** The first `length` bytes from `position`, or fewer where the file ends. */
export async function read(file: number, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  while (at < length) {
    const count = await promise<number>((done) =>
      fs.read(file, bytes, at, length - at, position + at, done as never),
    );
    if (!count) break;
    at += count;
  }
  return bytes.subarray(0, at);
}

export async function write(file: number, bytes: Uint8Array, position: number): Promise<void> {
  let at = 0;
  while (at < bytes.length) {
    at += await promise<number>((done) =>
      fs.write(file, bytes, at, bytes.length - at, position + at, done as never),
    );
  }
}

/** The bytes of a file, and its length, are on the disk. */
export const sync = (file: number) => promise((done) => fs.fdatasync(file, done as never));

export const truncate = (file: number, length: number) =>
  promise((done) => fs.ftruncate(file, length, done as never));

export const size = async (file: number): Promise<number> =>
  (await promise<{ size: number }>((done) => fs.fstat(file, done as never))).size;

/** What tells a folder from others, by whatever path it is reached. */
export async function identity(path: string): Promise<string> {
  const { dev, ino } = await promise<{ dev: number; ino: number }>((done) =>
    fs.stat(path, done as never),
  );
  return `${dev}-${ino}`;
}

export const makeFolder = (path: string) =>
  promise<string | undefined>((done) => fs.mkdir(path, { recursive: true }, done as never));

/** Throws if nothing may be made in the folder. Deno would ask who its user is; its lock tells. */
export async function checkWritable(folder: string): Promise<void> {
  if ("Deno" in globalThis) return;
  await promise((done) => fs.access(folder, fs.constants.W_OK, done as never));
}

export const names = (folder: string) =>
  promise<string[]>((done) => fs.readdir(folder, done as never));

export const rename = (from: string, to: string) =>
  promise((done) => fs.rename(from, to, done as never));

/** Whether there was one. */
export async function remove(path: string): Promise<boolean> {
  try {
    await promise((done) => fs.unlink(path, done as never));
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** What was made, renamed or removed in the folder is on the disk. */
export async function syncFolder(path: string): Promise<void> {
  // Windows opens no folders; there it is part of what its file system writes ahead.
  if (platform === "win32") return;
  const folder = await open(path, "r");
  try {
    await promise((done) => fs.fsync(folder, done as never));
  } finally {
    await close(folder);
  }
}

export function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}

export function isFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT", "EFBIG"].includes(codeOf(error) as string);
}
