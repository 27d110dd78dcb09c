export { createHub } from "./hub/node.js";
export { jwt } from "./hub/jwt.js";
export type * from "./hub/jwt.js";
export { HUB_LIMITS } from "./hub/options.js";
export { serveHub } from "./hub/serve.js";
export type * from "./hub/types.js";
