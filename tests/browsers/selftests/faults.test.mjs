// The harness itself: the faults that are not the death of a process.
import assert from "node:assert/strict";
import { Proxy } from "../lib/proxy.mjs";
import { test } from "../lib/runner.mjs";

/** A module of one function `answer` that gives 42: the smallest one worth streaming. */
const WASM = Buffer.from(
  "0061736d010000000105016000017f03020100070a0106616e7377657200000a06010400412a0b",
  "hex",
);

test("a page comes back from the back/forward cache as it was", async (t) => {
  const tab = await t.openTab();
  await tab.evaluate(() => {
    globalThis.kept = "in memory";
    addEventListener("pageshow", ({ persisted }) => (globalThis.persisted = persisted));
  });
  await tab.goto(t.server.url("/second.html"));
  assert.equal(await tab.evaluate(() => globalThis.kept ?? null), null);
  await tab.back();
  await tab.waitFor(() => globalThis.persisted === true, { what: "pageshow with persisted" });
  assert.equal(await tab.evaluate(() => globalThis.kept), "in memory");
});

test("a page with a Web Lock is cached as well, but never by Firefox", async (t) => {
  const tab = await t.openTab();
  await tab.evaluate(async () => {
    globalThis.kept = "in memory";
    addEventListener("pagehide", ({ persisted }) => (sessionStorage.cached = persisted));
    await new Promise((held) => {
      navigator.locks.request("selftest", () => new Promise(held));
    });
  });
  await tab.goto(t.server.url("/second.html"));
  const cached = t.engine !== "firefox";
  // Another process may hear a little later of what the last page wrote.
  assert.equal(await tab.waitFor(() => sessionStorage.cached), String(cached));
  await tab.back();
  await tab.waitFor(() => location.pathname === "/blank.html", { what: "the first page is back" });
  assert.equal(await tab.evaluate(() => globalThis.kept ?? null), cached ? "in memory" : null);
});

/** In the page: a chain of timers of 20 ms; notes the longest gap between two of them. */
function startTimers() {
  globalThis.gaps_ms = [];
  let previous = performance.now();
  const tick = () => {
    const now = performance.now();
    globalThis.gaps_ms.push(now - previous);
    previous = now;
    setTimeout(tick, 20);
  };
  setTimeout(tick, 20);
}

function medianOf(numbers) {
  return numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

/** Starts over and resolves with the median of the next `count` gaps. */
async function measureGaps(tab, count) {
  await tab.evaluate(() => void (globalThis.gaps_ms = []));
  await tab.waitFor((wanted) => globalThis.gaps_ms.length >= wanted, { args: [count] });
  return medianOf(await tab.evaluate(() => globalThis.gaps_ms));
}

test("a hidden tab's timers are throttled", { browser: { throttling: true } }, async (t) => {
  const visible = await t.openTab();
  const hidden = await t.openTab("/blank.html", { hidden: true });
  assert.equal(await visible.evaluate(() => document.visibilityState), "visible");
  assert.equal(await hidden.evaluate(() => document.visibilityState), "hidden");
  await visible.evaluate(startTimers);
  await hidden.evaluate(startTimers);
  const visible_ms = await measureGaps(visible, 20);
  const hidden_ms = await measureGaps(hidden, 3);
  t.measure("visible_gap_ms", visible_ms);
  t.measure("hidden_gap_ms", hidden_ms);
  // Far from the second of a hidden one, also on a machine that does much else.
  assert.ok(visible_ms < 500, `${visible_ms} ms while visible`);
  assert.ok(hidden_ms > 700, `${hidden_ms} ms while hidden`);
});

// Nothing hides a tab of WebKit's MiniBrowser once it is open: there is no window manager.
test("a tab is hidden and shown again", { engines: ["chromium", "firefox"] }, async (t) => {
  const tab = await t.openTab();
  await tab.evaluate(() => {
    globalThis.states = [];
    const note = () => globalThis.states.push(document.visibilityState);
    document.addEventListener("visibilitychange", note);
  });
  await tab.hide();
  await tab.waitFor(() => globalThis.states.length === 1);
  await tab.show();
  await tab.waitFor(() => globalThis.states.length === 2);
  assert.deepEqual(await tab.evaluate(() => globalThis.states), ["hidden", "visible"]);
});

test("the proxy cuts WebSocket and fetch, and lets them through again", async (t) => {
  const proxy = await Proxy.start(t.server.port);
  t.cleanup(() => proxy.close());
  const tab = await t.openTab();
  const fetchThrough = async (origin) => {
    try {
      const answer = await fetch(`${origin}/blank.html`, { mode: "no-cors", cache: "no-store" });
      return answer.type;
    } catch {
      return "failed";
    }
  };
  await tab.evaluate(async (port) => {
    globalThis.socket = new WebSocket(`ws://127.0.0.1:${port}/__orders?tab=through-proxy`);
    globalThis.socket_closed = false;
    globalThis.socket.onclose = () => (globalThis.socket_closed = true);
    await new Promise((resolve) => (globalThis.socket.onopen = resolve));
  }, proxy.port);
  assert.equal(await tab.evaluate(fetchThrough, proxy.origin), "opaque");
  proxy.goOffline();
  await tab.waitFor(() => globalThis.socket_closed, { what: "the socket was cut" });
  assert.equal(await tab.evaluate(fetchThrough, proxy.origin), "failed");
  proxy.goOnline();
  assert.equal(await tab.evaluate(fetchThrough, proxy.origin), "opaque");
});

test("console messages, errors and unhandled rejections of a tab are kept", async (t) => {
  const tab = await t.openTab();
  await tab.evaluate(() => {
    console.warn("a warning", 7);
    setTimeout(() => {
      throw new Error("thrown late");
    });
    void Promise.reject(new Error("rejected unseen"));
  });
  await tab.waitForConsole(/a warning 7/);
  await tab.waitForConsole(/thrown late/);
  await tab.waitForConsole(/rejected unseen/);
});

test("wasm is served so that it can be compiled while it streams", async (t) => {
  t.server.setHandler("/answer.wasm", (_, response) => {
    response.writeHead(200, { "content-type": "application/wasm" }).end(WASM);
  });
  const tab = await t.openTab();
  const answer = await tab.evaluate(async () => {
    const { instance } = await WebAssembly.instantiateStreaming(fetch("/answer.wasm"));
    return instance.exports.answer();
  });
  assert.equal(answer, 42);
});

test("a content security policy set for a page is enforced", async (t) => {
  t.server.setHeaders("/policy.html", { "content-security-policy": "script-src 'self'" });
  const tab = await t.openTab("/policy.html");
  // The page's own script, not an order: a driver is not bound by the policy.
  assert.deepEqual(await t.server.takeReport("policy"), { wasm: "refused" });
  t.server.setHeaders("/policy.html", {
    "content-security-policy": "script-src 'self' 'wasm-unsafe-eval'",
  });
  await tab.goto(t.server.url("/policy.html"));
  assert.deepEqual(await t.server.takeReport("policy"), { wasm: "runs" });
});
