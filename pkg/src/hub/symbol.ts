/**
 * How an entry for servers, a bundle of its own, makes a bus whose node is a hub: here an option
 * holds the sockets, and the bus takes what comes on them.
 */
export const SOCKETS = Symbol.for("tabmq.sockets");

/** How a bus in a server reaches its hub: by sockets that this option makes. */
export const DIAL = Symbol.for("tabmq.dial");
