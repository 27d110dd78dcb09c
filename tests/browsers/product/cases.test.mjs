// The cases of the package, as they are, in a tab, while another tab runs the nodes of their buses.
import assert from "node:assert/strict";
import { test } from "../lib/runner.mjs";
import { folders } from "./bus.mjs";

/** Queues, and live messages. */
const FILES = ["bus", "consuming", "publishing", "queues"];
/** Each of them opens a database; on a busy machine that takes its time. */
const ALL_MS = 300_000;

/** What no page runs, and why. Whatever is not named here runs. */
const LEFT_OUT = {
  "a bus that nobody uses: does nothing, not even load the wasm module": "starts a process",
  "connect: a failed load is told, and the next attempt is a new one": "starts a process",
  "waits: end with the deadline, also while nothing can be loaded": "starts a process",
  "process: with ack before no lease is renewed, and no timer is left": "starts a process",
  "connect: is ready, here, inline, in memory": "the node is in another tab and stores",
  "send: resolves with a receipt that says what this host keeps": "IndexedDB has another receipt",
  'connect: rejects {"host":"tab"} with UNSUPPORTED': "a page has tabs",
  'connect: rejects {"host":"worker"} with UNSUPPORTED': "a page has workers",
  'connect: rejects {"host":"shared-worker"} with UNSUPPORTED': "a page has shared workers",
  "persist: is for pages": "this is one",
};

/** What the cases themselves ask to be skipped where the host stores and is elsewhere. */
const SKIPPED = [
  "receipts: promise the level that was asked for and no more than the host has",
  "send: strict is not supported in memory",
  "process: tells when the lease was lost while the handler ran",
];

async function runCases(t) {
  const open = (page, label) => t.openTab(`/cases/tabs/${page}.html?host=${t.host}`, { label });
  const node = await open("node", "node");
  await node.waitFor(() => globalThis.listens, { what: "the tab of the nodes listens" });
  const tab = await open("index", "cases");
  await tab.waitFor(() => globalThis.runCases, { what: "the page has loaded" });
  await tab.evaluate((...given) => {
    const report = (text) => (globalThis.results = text);
    globalThis.runCases(...given).then(report, (error) => report({ error: String(error) }));
  }, FILES, Object.keys(LEFT_OUT));
  const results = await tab.waitFor(() => globalThis.results, { deadline_ms: ALL_MS });
  assert.equal(results.error, undefined);
  assert.deepEqual(results.failed, {});
  assert.deepEqual(results.leftOut.toSorted(), Object.keys(LEFT_OUT).toSorted());
  assert.deepEqual(Object.keys(results.skipped).toSorted(), SKIPPED.toSorted());
  t.measure("cases", results.passed.length);
}

const patient = { folders, deadline_ms: ALL_MS + 30_000 };
test("the cases of the package run in tabs", patient, runCases);
const in_page = { ...patient, host: "tab", engines: ["chromium"] };
test("the cases of the package run in a tab beside the one that hosts", in_page, runCases);
