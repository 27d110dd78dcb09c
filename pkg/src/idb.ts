export { createInbox, inbox } from "./idb/inbox.js";
export type { Inbox, InboxOptions } from "./idb/inbox.js";
