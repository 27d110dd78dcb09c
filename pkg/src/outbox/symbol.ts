/** How `tabmq/idb`, a bundle of its own, reaches a bus. */
export const COURIER = Symbol.for("tabmq.courier");
