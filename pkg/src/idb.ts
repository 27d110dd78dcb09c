export { createInbox, inbox } from "./idb/inbox.js";
export type { Inbox, InboxOptions } from "./idb/inbox.js";
export { createOutbox, outbox } from "./idb/outbox.js";
export type { DatabaseOutbox, DatabaseOutboxOptions, SendWithin } from "./idb/outbox.js";
