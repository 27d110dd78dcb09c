// What the storage in files needs of Node. Deno and Bun have the same modules.

declare module "node:fs" {
  interface NodeError extends Error {
    readonly code?: string;
  }
  type Done<T extends unknown[] = []> = (error: NodeError | null, ...values: T) => void;
  interface Stats {
    readonly size: number;
    readonly dev: number;
    readonly ino: number;
  }
  const fs: {
    open(path: string, flags: string, done: Done<[number]>): void;
    close(file: number, done: Done): void;
    read(
      file: number,
      into: Uint8Array,
      offset: number,
      length: number,
      position: number,
      done: Done<[number]>,
    ): void;
    write(
      file: number,
      from: Uint8Array,
      offset: number,
      length: number,
      position: number,
      done: Done<[number]>,
    ): void;
    fdatasync(file: number, done: Done): void;
    fsync(file: number, done: Done): void;
    ftruncate(file: number, length: number, done: Done): void;
    fstat(file: number, done: Done<[Stats]>): void;
    stat(path: string, done: Done<[Stats]>): void;
    mkdir(path: string, options: { recursive: true }, done: Done<[string | undefined]>): void;
    readonly constants: { readonly W_OK: number };
    access(path: string, mode: number, done: Done): void;
    readdir(path: string, done: Done<[string[]]>): void;
    rename(from: string, to: string, done: Done): void;
    unlink(path: string, done: Done): void;
  };
  export default fs;
}

declare module "node:net" {
  interface Server {
    on(event: "error", run: (error: Error & { code?: string }) => void): this;
    listen(options: { path: string; exclusive: boolean }, done: () => void): this;
    close(done?: () => void): this;
    unref(): this;
  }
  interface Socket {
    on(event: "connect", run: () => void): this;
    on(event: "error", run: (error: Error & { code?: string }) => void): this;
    destroy(): void;
  }
  const net: {
    createServer(run: (socket: Socket) => void): Server;
    connect(path: string): Socket;
  };
  export default net;
}

declare module "node:path" {
  export function join(...parts: string[]): string;
  export function resolve(path: string): string;
}

declare module "node:os" {
  export function tmpdir(): string;
}

declare module "node:process" {
  export const platform: string;
}

declare module "node:crypto" {
  export function createHash(name: "sha256"): {
    update(text: string): { digest(encoding: "hex"): string };
  };
}

declare module "node:zlib" {
  export function crc32(bytes: Uint8Array, before?: number): number;
}
