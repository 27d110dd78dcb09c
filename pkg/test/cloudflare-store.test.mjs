// The log in the SQLite database of an object, by itself.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { build } from "esbuild";

import { startWorker } from "./cloudflare.mjs";

const SCENARIOS = JSON.parse(
  readFileSync(new URL("../../tests/log/conformance.json", import.meta.url), "utf8"),
);

/** An object that performs the steps of one scenario, each with what it was to answer. */
const SCRIPT = `
  import { keyOf } from "../src/files/store.js";
  import { SqlStore, VALUE_BYTES_MAX } from "../src/hub/cloudflare/sql_store.js";
  import { performStep } from "./conformance.mjs";

  export class StoreObject {
    #storage;
    constructor(state) {
      this.#storage = state.storage;
    }
    async #open() {
      const store = new SqlStore(this.#storage);
      await store.open();
      return store;
    }
    async fetch(request) {
      const steps = await request.json();
      if (!steps.length) return Response.json(await this.#lengths());
      const stores = { a: await this.#open(), b: await this.#open() };
      const got = [];
      for (const [writer, action, given, wanted] of steps) {
        if (action === "reopen") stores[writer] = await this.#open();
        else got.push([await performStep(stores[writer], keyOf, action, given), wanted]);
      }
      return Response.json(got);
    }
    async #lengths() {
      const store = await this.#open();
      const told = [];
      const commit = (length, deletes = []) => ({
        puts: [{ key: keyOf(1, 1), bytes: new Uint8Array(length).fill(7) }],
        deletes,
        strict: true,
      });
      for (const length of [5_000_000, 1 << 20, (1 << 20) + 1, 0]) {
        await store.commit(commit(length));
        const [value] = await store.read([keyOf(1, 1)]);
        told.push([value.length, value.every((byte) => byte === 7), store.list()]);
      }
      const refused = await store.commit(commit(VALUE_BYTES_MAX + 1)).catch(({ fault }) => fault);
      const [kept] = await store.read([keyOf(1, 1)]);
      return [...told, [refused, kept.length]];
    }
  }
  export default {
    fetch: (request, env) => {
      const { pathname } = new URL(request.url);
      return env.STORE.get(env.STORE.idFromName(pathname)).fetch(request);
    },
  };
`;

async function startStores(t) {
  const stdin = { contents: SCRIPT, resolveDir: import.meta.dirname };
  const { outputFiles } = await build({ stdin, bundle: true, format: "esm", write: false });
  const objects = { STORE: { className: "StoreObject", useSQLite: true } };
  const { http } = await startWorker(t, { script: outputFiles[0].text, objects });
  return async (name, steps) => {
    const body = JSON.stringify(steps);
    const response = await fetch(`${http}/${encodeURIComponent(name)}`, { method: "POST", body });
    return response.json();
  };
}

test("cloudflare: an object stores as every storage does", async (t) => {
  const perform = await startStores(t);
  assert.ok(SCENARIOS.length > 5);
  for (const { name, steps } of SCENARIOS) {
    for (const [got, wanted] of await perform(name, steps)) assert.deepEqual(got, wanted, name);
  }
});

test("cloudflare: a value of several rows is whole, one too long changes nothing", async (t) => {
  const perform = await startStores(t);
  assert.deepEqual(await perform("lengths", []), [
    [5_000_000, true, [1]],
    [1 << 20, true, [1]],
    [(1 << 20) + 1, true, [1]],
    [0, true, [1]],
    ["quota", 0],
  ]);
});
