import { inFolder } from "../files/index.js";
import { setFolders } from "../storage.js";
import { setDefaultSource } from "../wasm.js";

// `fetch` of Node does not read files.
setDefaultSource(async () => {
  const { readFile } = await import("node:fs/promises");
  return readFile(new URL("./tabmq.wasm", import.meta.url));
});

setFolders(inFolder);

export * from "../index.js";
