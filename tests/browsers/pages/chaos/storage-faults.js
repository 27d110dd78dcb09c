// Makes IndexedDB fail for a while, below the package, in the realm that writes the log or in all,
// and records which realm claims which epoch.
import { record } from "./records.js";

const LOG = /^tabmq:/;
const WRITES_MS = 2_000;

/** `mode`: throw, abort, quota or mute. `everywhere`: not only where the log is written. */
let fault = { mode: "none", until_unix_ms: 0, everywhere: false };
let wrote_unix_ms = 0;

const { transaction: begin } = IDBDatabase.prototype;
const { put } = IDBObjectStore.prototype;

/** From now on this realm obeys orders to fail. Called before the package stores anything. */
export function obeyFaults() {
  new BroadcastChannel("chaos-storage").onmessage = ({ data }) => {
    if (data.everywhere || Date.now() - wrote_unix_ms < WRITES_MS) fault = data;
  };
  IDBDatabase.prototype.transaction = beginOrFail;
  IDBObjectStore.prototype.put = putAndRecord;
}

function beginOrFail(...parameters) {
  if (!LOG.test(this.name)) return begin.apply(this, parameters);
  if (parameters[1] === "readwrite") wrote_unix_ms = Date.now();
  const mode = Date.now() < fault.until_unix_ms ? fault.mode : "none";
  if (mode === "throw") throw new DOMException("the storage fails", "UnknownError");
  const begun = begin.apply(this, parameters);
  if (mode === "quota") {
    const error = new DOMException("the storage is full", "QuotaExceededError");
    Object.defineProperty(begun, "error", { value: error });
  }
  if (mode === "abort" || mode === "quota") {
    // One that is committed in the turn in which it was begun can't be aborted behind that turn.
    Object.defineProperty(begun, "commit", { value: () => begun.abort() });
    queueMicrotask(() => abort(begun));
  }
  if (mode === "mute") {
    const swallow = (event) => event.stopImmediatePropagation();
    for (const type of ["complete", "abort"]) begun.addEventListener(type, swallow);
  }
  return begun;
}

function abort(transaction) {
  try {
    transaction.abort();
  } catch {
    // It is over already.
  }
}

function putAndRecord(...parameters) {
  const [value, key] = parameters;
  if (key === "fence" && LOG.test(this.transaction.db.name)) {
    const bytes = Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const epoch = epochIn(value);
    this.transaction.addEventListener("complete", () => record("claim", epoch, bytes));
  }
  return put.apply(this, parameters);
}

/** The number of the epoch in a fence, which is CBOR: a pair whose first part it is. */
function epochIn(fence) {
  const [, head, ...rest] = fence;
  const short = head & 0x1f;
  if (short < 24) return short;
  return rest.slice(0, 2 ** (short - 24)).reduce((sum, byte) => sum * 256 + byte, 0);
}
