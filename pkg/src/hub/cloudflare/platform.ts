// What the hub needs of the runtime of Cloudflare Workers.

/** A value of SQLite. */
type SqlValue = ArrayBuffer | string | number | null;

export interface SqlStorage {
  exec(
    query: string,
    ...bindings: (SqlValue | Uint8Array)[]
  ): Iterable<Record<string, SqlValue>> & { toArray(): Record<string, SqlValue>[] };
}

export interface ObjectStorage {
  readonly sql: SqlStorage;
  transactionSync<T>(run: () => T): T;
  get(key: string): Promise<unknown>;
  put(key: string, value: unknown): Promise<void>;
  getAlarm(): Promise<number | null>;
  setAlarm(at_ms: number): Promise<void>;
  deleteAlarm(): Promise<void>;
}

/** A WebSocket of the runtime, on the side of the server. */
export interface ServerSocket {
  binaryType?: string;
  accept(): void;
  send(message: Uint8Array | string): void;
  close(code?: number, reason?: string): void;
  serializeAttachment(value: unknown): void;
  deserializeAttachment(): unknown;
  addEventListener(type: string, run: (event: Event) => void): void;
}

/** The state of a Durable Object, as its class is given it. */
export interface ObjectState {
  readonly storage: ObjectStorage;
  blockConcurrencyWhile<T>(run: () => Promise<T>): Promise<T>;
  acceptWebSocket(socket: ServerSocket): void;
  getWebSockets(): ServerSocket[];
  setWebSocketAutoResponse(pair: object): void;
}

/** The binding of a class of Durable Objects. */
export interface ObjectNamespace {
  idFromName(name: string): unknown;
  get(id: never): { fetch(request: Request): Promise<Response> };
}

interface Platform {
  readonly WebSocketPair: new () => { readonly 0: ServerSocket; readonly 1: ServerSocket };
  readonly WebSocketRequestResponsePair: new (request: string, response: string) => object;
}

const platform = globalThis as unknown as Platform;

/** Both ends of a new socket. */
export function socketPair(): { readonly near: ServerSocket; readonly far: ServerSocket } {
  const { 0: far, 1: near } = new platform.WebSocketPair();
  return { near, far };
}

/** The answer to an upgrade. */
export function upgraded(far: ServerSocket, protocol: string): Response {
  const headers = { "sec-websocket-protocol": protocol };
  return new Response(null, { status: 101, headers, webSocket: far } as ResponseInit);
}

/** The socket in the answer to an upgrade; nothing if it was refused. */
export function socketOf(response: Response): ServerSocket | undefined {
  return (response as { webSocket?: ServerSocket | null }).webSocket ?? undefined;
}

/** Has the runtime answer a text, so that it wakes nobody. */
export function answerText(state: ObjectState, request: string, response: string): void {
  const pair = new platform.WebSocketRequestResponsePair(request, response);
  state.setWebSocketAutoResponse(pair);
}
