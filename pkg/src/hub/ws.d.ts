// What the hub and its clients need of the package `ws`.

declare module "ws" {
  export class WebSocket {
    binaryType: "arraybuffer";
    readonly bufferedAmount: number;
    send(message: Uint8Array | string): void;
    close(code?: number, reason?: string): void;
    terminate(): void;
    ping(): void;
    /** Nothing more is read of its connection until `resume`. */
    pause(): void;
    resume(): void;
    on(event: "message", run: (data: ArrayBuffer | string, is_binary: boolean) => void): this;
    on(event: "close", run: (code: number) => void): this;
    on(event: "error", run: (error: Error & { code?: string }) => void): this;
    on(event: "pong", run: () => void): this;
  }
  export class WebSocketServer {
    constructor(options: {
      noServer: true;
      maxPayload: number;
      perMessageDeflate: false;
      handleProtocols: (offered: Set<string>) => string | false;
    });
    handleUpgrade(
      request: object,
      socket: object,
      head: Uint8Array,
      done: (accepted: WebSocket) => void,
    ): void;
    close(): void;
  }
}
