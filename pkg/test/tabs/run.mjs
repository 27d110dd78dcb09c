// Runs files of cases in this page when it is told to.
import { runDeclared } from "node:test";

globalThis.runCases = async (files, leftOut) => {
  for (const file of files) await import(`/cases/${file}.test.mjs`);
  return runDeclared(leftOut);
};
