// What the cases use of node:crypto.
export const randomUUID = () => crypto.randomUUID();
