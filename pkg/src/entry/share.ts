export { connectShared } from "../share/connect.js";
