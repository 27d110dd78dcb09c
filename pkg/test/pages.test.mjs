// Pages of a simulated world: the package as a tab has it, under virtual time.
import assert from "node:assert/strict";
import { test } from "node:test";

import { isTabmqError } from "tabmq";
import { simulate, simulateCrashes } from "tabmq/sim";

import { deferred } from "./helpers.mjs";

/** Each order is to be charged once: what the charges of a run came to. */
function shop(charge) {
  return async (world) => {
    const charges = [];
    const [seller, worker] = world.tabs;
    seller.load(async ({ tabmq }) => {
      const bus = await tabmq.connect("shop", { host: "tab" });
      await bus.queue("orders").send("order-1", { id: "order-1" });
    });
    worker.load(async ({ tabmq, sleep }) => {
      const bus = await tabmq.connect("shop", { host: "tab" });
      bus.queue("orders").process(async (order) => {
        charge(charges, order);
        // The answer of the payment service is on its way.
        await sleep(20);
      });
    });
    await world.until(() => charges.length > 0);
    await world.sleep(20_000);
    assert.deepEqual(charges, ["order-1"]);
  };
}

test("pages: share a queue, and a day passes at once", async () => {
  const started = performance.now();
  const report = await simulate({ seed: 1, virtualMsMax: 200_000_000 }, async (world) => {
    const got = [];
    world.tabs[0].load(async ({ tabmq, now }) => {
      const bus = await tabmq.connect("mail");
      await bus.queue("mails").send("tomorrow", { delay: "1d" });
      got.push(["sent", now() < 10_000]);
    });
    world.tabs[1].load(async ({ tabmq, now }) => {
      const bus = await tabmq.connect("mail");
      bus.queue("mails").process(({ body }) => got.push([body, now() >= 86_400_000]));
    });
    await world.until(() => got.length === 2);
    return got;
  });
  assert.deepEqual(report.findings, []);
  assert.deepEqual(report.value, [["sent", true], ["tomorrow", true]]);
  // A day would be 86,400 s.
  assert.ok(performance.now() - started < 60_000);
});

test("pages: one seed and scenario give one history, and another seed another", async () => {
  const scenario = async (world) => {
    const done = [];
    const work = async ({ tabmq, sleep }) => {
      const bus = await tabmq.connect("work");
      bus.queue("jobs").process(async ({ body }) => {
        await sleep(20);
        done.push(body);
      });
    };
    for (const tab of world.tabs) tab.load(work);
    world.tabs[0].load(async (page) => {
      await work(page);
      const bus = page.tabmq.createBus("work");
      for (let job = 0; job < 30; job += 1) {
        await bus.queue("jobs").send(job);
        await page.sleep(50);
      }
    });
    await world.until(() => done.length >= 25);
    world.heal();
    await world.sleep(30_000);
    return done;
  };
  const faults = {
    "link-delayed": 100,
    "write-slow": 5,
    "client-frozen": 300,
    "client-reloaded": 200,
    "wall-jumped-back": 100,
    "wall-jumped-ahead": 100,
  };
  const first = await simulate({ seed: 11, tabs: 3, faults }, scenario);
  assert.deepEqual(await simulate({ seed: 11, tabs: 3, faults }, scenario), first);
  assert.deepEqual(first.findings, []);
  assert.ok(first.value.length >= 25);
  assert.ok(first.faults["link-delayed"] > 0);
  const other = await simulate({ seed: 12, tabs: 3, faults }, scenario);
  assert.notEqual(other.hash, first.hash);
});

test("pages: a crash at every step finds the handler that charges twice alone", async () => {
  const careless = (charges, { body }) => {
    charges.push(body);
  };
  const found = await simulateCrashes({ seed: 5, tab: 1 }, shop(careless));
  assert.ok(found.runs > 20, `${found.runs} steps`);
  const failing = found.reports.filter(({ findings }) => findings.length);
  assert.ok(failing.length > 0 && failing.length < found.runs, `${failing.length} fail`);
  assert.equal(failing[0].findings[0].checker, "scenario");
  assert.match(failing[0].findings[0].what, /order-1/);

  // The step that failed fails again, alone.
  const killAt = { tab: 1, step: found.firstFailing };
  const again = await simulate({ seed: 5, killAt }, shop(careless));
  assert.equal(again.hash, failing[0].hash);
  assert.equal(again.findings.length, 1);

  // Whoever charges keeps the id, as payment services do.
  const careful = (charges, { id, body }) => {
    if (!charges.includes(body)) charges.push(body);
    assert.equal(id, "order-1");
  };
  const { runs, firstFailing } = await simulateCrashes({ seed: 5, tab: 1 }, shop(careful));
  assert.ok(runs > 20);
  assert.equal(firstFailing, undefined);
});

/** Each order is counted once in a database of the device. `count` says how. */
function counter(count) {
  const open = ({ indexedDB, idb }) => {
    const { promise, resolve, reject } = deferred();
    const request = indexedDB.open("shop", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("totals");
      idb.createInbox(request.result);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    return promise;
  };
  return async (world) => {
    const [seller, worker] = world.tabs;
    seller.load(async ({ tabmq }) => {
      const bus = await tabmq.connect("counts", { host: "tab" });
      await bus.queue("orders").send("order-1");
    });
    worker.load(async (page) => {
      const database = await open(page);
      const bus = await page.tabmq.connect("counts", { host: "tab" });
      bus.queue("orders").process((order) => count(page, database, order));
    });
    await world.sleep(20_000);
    const counted = deferred();
    seller.load(async (page) => {
      const read = (await open(page)).transaction("totals").objectStore("totals").get("count");
      read.onsuccess = () => counted.resolve(read.result);
    });
    assert.equal(await counted.promise, 1);
  };
}

function addOne(tx) {
  const totals = tx.objectStore("totals");
  const read = totals.get("count");
  read.onsuccess = () => totals.put((read.result ?? 0) + 1, "count");
}

test("pages: wherever a page dies, an inbox has an effect once", async () => {
  const once = await simulateCrashes({ seed: 2, tab: 1 }, counter(({ idb }, database, order) =>
    idb.inbox(database).once(order, ["totals"], addOne),
  ));
  assert.ok(once.runs > 20, `${once.runs} steps`);
  assert.equal(once.firstFailing, undefined);

  const bare = await simulateCrashes({ seed: 2, tab: 1 }, counter((page, database) => {
    const tx = database.transaction(["totals"], "readwrite");
    const { promise, resolve } = deferred();
    tx.oncomplete = resolve;
    addOne(tx);
    return promise;
  }));
  const { findings } = bare.reports[bare.firstFailing - 1];
  assert.equal(findings[0].error.actual, 2);
});

test("pages: another page hosts when the host is killed, frozen or reloaded", async () => {
  for (const end of ["kill", "freeze", "reload"]) {
    const { findings, value } = await simulate({ seed: 4 }, async (world) => {
      const got = [];
      const buses = [];
      const script = (index) => async ({ tabmq }) => {
        buses[index] = await tabmq.connect("hosts");
        buses[index].queue("jobs").process(({ body }) => got.push(body));
      };
      world.tabs[0].load(script(0));
      await world.until(() => buses[0]?.host.get().here);
      world.tabs[1].load(script(1));
      await world.until(() => buses[1] !== undefined);
      world.tabs[0][end]();
      await buses[1].queue("jobs").send("after");
      await world.until(() => got.includes("after"));
      return buses[1].host.get().epoch;
    });
    assert.deepEqual(findings, [], end);
    assert.ok(value >= 1);
  }
});

test("pages: what does not end, and what a page throws, is a finding", async () => {
  const never = await simulate({ seed: 1, virtualMsMax: 5000 }, (world) => {
    world.tabs[0].load(({ tabmq }) => tabmq.connect("never"));
    return world.until(() => false);
  });
  assert.deepEqual(never.findings.map(({ checker }) => checker), ["stuck"]);
  const nothing = await simulate({ seed: 1 }, (world) => world.until(() => false));
  assert.deepEqual(nothing.findings.map(({ checker }) => checker), ["stuck"]);
  const thrown = await simulate({ seed: 1 }, async (world) => {
    world.tabs[0].load(() => {
      throw new RangeError("out of ink");
    });
    await world.sleep(1);
  });
  assert.deepEqual(thrown.findings.map(({ checker, what }) => [checker, what]), [
    ["page", "RangeError: out of ink"],
  ]);
});

test("pages: what is not valid is refused by its name", async () => {
  const scenario = () => {};
  const cases = [
    [{ seed: 1 }, "scenario", 3],
    [{ seed: -1 }, "seed", scenario],
    [{ seed: 1, tabs: 0 }, "tabs", scenario],
    [{ seed: 1, tabs: 17 }, "tabs", scenario],
    [{ seed: 1, seeds: 2 }, "seeds", scenario],
    [{ seed: 1, faults: { "disk-full": 1 } }, "faults.disk-full", scenario],
    [{ seed: 1, faults: { "client-died": 1001 } }, "faults.client-died", scenario],
    [{ seed: 1, killAt: { tab: 2, step: 1 } }, "killAt.tab", scenario],
    [{ seed: 1, killAt: { tab: 0, step: 0 } }, "killAt.step", scenario],
    [{ seed: 1, virtualMsMax: 0.5 }, "virtualMsMax", scenario],
  ];
  for (const [options, name, run] of cases) {
    await assert.rejects(simulate(options, run), (error) => {
      assert.ok(isTabmqError(error, "INVALID"), JSON.stringify(options));
      assert.equal(error.data.name, name);
      return true;
    });
  }
});
