export { runScenario } from "../sim/world/run.js";
