/**
 * How an entry for servers, a bundle of its own, makes a bus whose node is a hub: here an option
 * holds the sockets, and the bus takes what comes on them.
 */
export const SOCKETS = Symbol.for("tabmq.sockets");
