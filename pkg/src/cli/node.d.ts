// What the commands need of Node.js beside what the hub does.

declare module "node:process" {
  interface Output {
    /** Absent where it is no terminal. */
    readonly isTTY?: boolean;
    readonly rows?: number;
    readonly columns?: number;
    write(text: string): boolean;
    on(event: "error", run: (error: Error & { code?: string }) => void): unknown;
  }
  const process: {
    readonly argv: readonly string[];
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly version: string;
    readonly stdin: AsyncIterable<Uint8Array>;
    readonly stdout: Output;
    readonly stderr: Output;
    exitCode: number;
    exit(code: number): never;
    on(event: "SIGINT" | "SIGTERM", run: () => void): unknown;
  };
  export default process;
}

declare module "node:os" {
  export function cpus(): readonly { readonly model: string }[];
}

declare module "node:util" {
  interface Option {
    readonly type: "string" | "boolean";
    readonly multiple?: boolean;
  }
  export function parseArgs(config: {
    args: readonly string[];
    options: Readonly<Record<string, Option>>;
    allowPositionals: true;
  }): { values: Record<string, unknown>; positionals: string[] };
  export function inspect(value: unknown, options: { breakLength: number }): string;
}

// In place of `./hub.js`, whose buses are those of the entry for Node.js.
declare module "virtual:hub" {
  export const jwt: typeof import("../hub.js").jwt;
  export const createHub: typeof import("../hub.js").createHub;
  export const serveHub: typeof import("../hub.js").serveHub;
}
