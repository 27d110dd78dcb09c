// What the hub needs of Node.js beside what storage in files does.

declare module "node:http" {
  interface Server {
    on(
      event: "upgrade",
      run: (request: never, socket: never, head: Uint8Array) => void,
    ): this;
    on(event: "error", run: (error: Error) => void): this;
    listen(port: number, host: string, done: () => void): this;
    address(): { readonly port: number };
    close(done: () => void): this;
    closeAllConnections(): void;
  }
  export function createServer(run: (request: never, response: never) => void): Server;
}
