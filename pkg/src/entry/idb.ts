export * from "../idb.js";
