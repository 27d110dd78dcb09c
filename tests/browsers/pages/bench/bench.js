// One tab of the benchmarks; both sides of each comparison take orders through `globalThis.bench`.
import { ours } from "./ours.js";
import { raw } from "./raw.js";

globalThis.bench = { ours, raw };
