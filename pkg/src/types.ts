export type * from "./types/admin.js";
export type * from "./types/advisories.js";
export type * from "./types/bus.js";
export type * from "./types/common.js";
export type * from "./types/messages.js";
export type * from "./types/queues.js";
export type * from "./types/services.js";
export type * from "./types/transactions.js";
