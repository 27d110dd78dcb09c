// Our side: a hub over files, with a service of its own.
import { createHub, serveHub } from "../../pkg/dist/hub.js";

const [, , storage] = process.argv;
const hub = createHub({
  storage,
  start: (bus) => bus.serve("here@1", { add: (a, b) => a + b }).ready(),
});
const served = await serveHub({ hub });
process.on("SIGTERM", () => void served.close().then(() => process.exit(0)));
console.log(served.url);
