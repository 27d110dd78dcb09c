export { createHub } from "./hub/cloudflare/worker.js";
export type * from "./hub/cloudflare/types.js";
export type { AuthorizeContext, Grant, HubLogEntry } from "./hub/types.js";
