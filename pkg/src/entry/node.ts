import { inFolder } from "../files/index.js";
import { setWebSocket } from "../hub/doors.js";
import { setFolders } from "../storage.js";
import { setDefaultSource } from "../wasm.js";

// For Deno and Bun as well. `fetch` of Node does not read files.
setDefaultSource(async () => {
  const { readFile } = await import("node:fs/promises");
  return readFile(new URL("./tabmq.wasm", import.meta.url));
});

setFolders(inFolder);

// Node.js has a WebSocket of its own from version 22 on.
setWebSocket(async () => (await import("ws")).WebSocket as unknown as typeof WebSocket);

export * from "../index.js";
