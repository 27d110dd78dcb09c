export * from "../hub.js";
