// Checked by the compiler alone: what must compile does, and each line below a `@ts-expect-error`
// must not.
import {
  type Bus,
  type Call,
  connect,
  createBus,
  defineBus,
  isTabmqError,
  type Job,
  queue,
  type QueueInfo,
  type Receipt,
  Retry,
  type TopicMessage,
} from "../../src/index.js";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function expect<_T extends true>(): void {}

interface Cart {
  items: string[];
}
interface Upload {
  file: string;
}
interface Calc {
  add(a: number, b: number): number;
  slow(text: string): Promise<string>;
  readonly version: string;
}
interface Shop {
  topics: {
    "cart.changed": Cart;
    "price.eu": number;
    "price.us": bigint;
    "price.eu.north": string;
  };
  queues: { upload: Job<Upload, { url: string }>; plain: Upload };
  services: { "calc@1": Calc };
}

declare const bus: Bus<Shop>;
declare const open: Bus;

export async function connecting(): Promise<void> {
  await connect("shop", { storage: "./data" });
  await connect("shop", { storage: "memory" });
  // @ts-expect-error a path is a string
  await connect("shop", { storage: new URL("file:///data") });
}

export async function publishing(): Promise<void> {
  const upload = bus.queue("upload", { dedupe: "2m" });
  const { duplicate, duplicateOf } = await upload.send({ file: "a" }, { id: "a" });
  expect<Equal<typeof duplicate, boolean>>();
  expect<Equal<typeof duplicateOf, number | undefined>>();
  const { stored } = await upload.sendAll([{ body: { file: "a" }, id: "a" }], { batch: 5 });
  expect<Equal<typeof stored, number>>();
  // @ts-expect-error the body of another queue
  await upload.sendAll([{ body: 5 }]);
  const sink = upload.writable({ linger: "1s" });
  await new ReadableStream<{ body: Upload }>().pipeTo(sink);
  expect<Equal<ReturnType<typeof sink.progress.get>["window"], number>>();
  using interceptor = bus.use({
    outgoing(message) {
      if (message.kind === "send") expect<Equal<typeof message.queue, string>>();
      if (message.kind !== "call") message.headers["tenant"] = 5;
      // @ts-expect-error calls have no headers
      else message.headers["tenant"] = 5;
    },
    async incoming(message) {
      expect<Equal<typeof message.sender, string | undefined>>();
      // @ts-expect-error it came on this kind
      message.kind = "call";
    },
  });
  // @ts-expect-error there is nothing to run
  bus.use(5);
  expect<Equal<typeof interceptor, Disposable>>();
}

export async function operating(): Promise<void> {
  for await (const { name, policy } of bus.admin.list("up*")) {
    expect<Equal<typeof name, string>>();
    expect<Equal<typeof policy, string | undefined>>();
  }
  const { sentPerSecond, oldestAt } = bus.queue("upload").stats.get();
  expect<Equal<typeof sentPerSecond, number>>();
  expect<Equal<typeof oldestAt, Date | undefined>>();
  await bus.admin.policy("p", "a.*", { maxLength: 5, lease: "5s" }, { priority: 2 });
  await bus.admin.policy("p", "a.*", { maxPerKey: 5, rate: { limit: 5, per: "1s", burst: 1 } });
  // @ts-expect-error an option that decides what kind of queue it is
  await bus.admin.policy("p", "a.*", { lastValue: true });
  // @ts-expect-error an option that decides what kind of queue it is
  await bus.admin.policy("p", "a.*", { deadLetter: false });
  await bus.admin.move("a", "b", { where: { numbers: [1], ids: ["x"] }, rate: 5, max: 9 });
  // @ts-expect-error a filter that is not there
  await bus.admin.move("a", "b", { where: { body: 1 } });
  const file = await bus.admin.export("a");
  expect<Equal<typeof file, Blob>>();
  const onProgress = (progress: { messages: number; total: number }) => progress.total;
  await bus.admin.import(file, { into: "b", onProgress });
}

export async function topics(): Promise<void> {
  await bus.publish("cart.changed", { items: [] }, { timeout: "5s", key: "k" });
  // @ts-expect-error the body of another topic
  await bus.publish("cart.changed", 5);
  // @ts-expect-error a topic that is not there
  await bus.publish("cart.chnaged", { items: [] });
  // @ts-expect-error an option of a later version
  await bus.publish("price.eu", 5, { retain: true });
  // @ts-expect-error a duration without a known unit
  await bus.publish("price.eu", 5, { timeout: "5 weeks" });

  bus.subscribe("cart.changed", ({ body }) => expect<Equal<typeof body, Cart>>());
  bus.subscribe("price.*", ({ body }) => expect<Equal<typeof body, number | bigint>>());
  bus.subscribe("price.#", ({ body }) => expect<Equal<typeof body, number | bigint | string>>());
  bus.subscribe("#.eu", ({ body }) => expect<Equal<typeof body, number>>());
  bus.subscribe("#", ({ topic }) => expect<Equal<typeof topic, keyof Shop["topics"]>>());
  bus.subscribe("price.*", (message) => {
    // The topic tells which body it is.
    if (message.topic === "price.eu") expect<Equal<typeof message.body, number>>();
    else expect<Equal<typeof message.body, bigint>>();
  });
  bus.subscribe<Cart>("any.name", ({ body }) => expect<Equal<typeof body, Cart>>());
  for await (const { body } of bus.subscribe("price.us", { buffer: 5 })) {
    expect<Equal<typeof body, bigint>>();
  }
  // @ts-expect-error an option of a later version
  bus.subscribe("price.us", { durable: "x" });

  bus.topic("price.eu").post(5);
  // @ts-expect-error the body of another topic
  bus.topic("price.eu").post("5");
  bus.topic<Cart>("other").post({ items: [] });

  await open.publish("anything", { at: "all" });
  open.subscribe("a.#", ({ body, topic }) => {
    expect<Equal<typeof body, unknown>>();
    expect<Equal<typeof topic, string>>();
  });
  open.subscribe<Cart>("a", (message) => expect<Equal<typeof message, TopicMessage<Cart>>>());
}

export async function queues(): Promise<void> {
  const uploads = bus.queue("upload", { lease: "3s", backoff: { first: 500 }, deadLetter: false });
  const receipt = await uploads.send({ file: "a" }, { delay: "1m" });
  expect<Equal<typeof receipt, Receipt<{ url: string }>>>();
  expect<Equal<typeof receipt.stored.durability, "memory" | "relaxed" | "strict">>();
  // @ts-expect-error the body of another queue
  await uploads.send({ name: "a" });
  await uploads.send({ file: "a" }, { confirm: "hub" });
  // @ts-expect-error nobody who could confirm it
  await uploads.send({ file: "a" }, { confirm: "edge" });
  // @ts-expect-error a queue that is not there
  bus.queue("uplaod");
  await uploads.sendBatch([{ body: { file: "a" }, delay: 5 }, { body: { file: "b" } }]);

  uploads.process(async (job) => {
    expect<Equal<typeof job.body, Upload>>();
    expect<Equal<typeof job.signal, AbortSignal>>();
    if (job.attempt > 3) throw new Retry({ after: "5s" });
    return { url: "x" };
  });
  // @ts-expect-error not what the queue's handlers return
  uploads.process(() => ({ uri: "x" }));
  uploads.process({ concurrency: 4 }, () => ({ url: "x" }));
  for await (const job of uploads.consume({ prefetch: 2 })) {
    await job.ack(undefined, { timeout: 5, multiple: true });
    await job.retry({ after: "1s", reason: "busy" });
    await job.reject("bad");
    await job.release();
    await job.extend("1m");
  }
  const [job] = await uploads.receive({ max: 3, timeout: 0 });
  expect<Equal<typeof job, import("../../src/index.js").Delivery<Upload> | undefined>>();
  expect<Equal<Awaited<ReturnType<typeof uploads.info>>, QueueInfo>>();
  bus.queue("plain").process(({ body }) => expect<Equal<typeof body, Upload>>());
  bus.queue<Cart>("made.up").process(({ body }) => expect<Equal<typeof body, Cart>>());
  open.queue("any").process(({ body }) => expect<Equal<typeof body, unknown>>());
}

export async function services(): Promise<void> {
  bus.serve("calc@1", { add: (a, b) => a + b, slow: async (text) => text, version: "1" });
  // @ts-expect-error a method returns something else
  bus.serve("calc@1", { add: () => "5", slow: (text: string) => text, version: "1" });
  bus.serve<Calc>("other", { add: (a, b) => a + b, slow: (text) => text, version: "1" });

  const calc = bus.client("calc@1", { timeout: "5s" });
  const sum = calc.add(2, 3);
  expect<Equal<typeof sum, Call<number>>>();
  expect<Equal<Awaited<ReturnType<typeof calc.slow>>, string>>();
  sum.cancel();
  // @ts-expect-error an argument of another type
  calc.add("2", 3);
  // @ts-expect-error a method that is not there
  calc.sub(2, 3);
  // @ts-expect-error a property is no method
  calc.version();
  await calc.$with({ timeout: 200 }).add(2, 3);
  const nothing = calc.$send.add(2, 3);
  expect<Equal<typeof nothing, void>>();
  const other = bus.client<Calc>("other");
  expect<Equal<Awaited<ReturnType<typeof other.add>>, number>>();
  // @ts-expect-error a service that is not there
  bus.client("clac@1");
  const answer = await bus.call("calc@1", "add", [2, 3]);
  expect<Equal<typeof answer, unknown>>();
}

export async function life(): Promise<void> {
  await using shop = await connect<Shop>("shop", { storage: "memory", limits: { lanes_max: 5 } });
  await connect("shop", { hub: "wss://edge.example/mq" });
  const homes = await connect("shop", { hub: { url: "wss://edge.example/mq", share: ["a.#"] } });
  const { home } = await homes.queue<number>("q").info();
  expect<Equal<typeof home, "device" | "hub">>();
  homes.addEventListener("contract", ({ detail }) => {
    expect<Equal<typeof detail.home, "device" | "hub">>();
  });
  createBus("shop", { host: "worker", assets: { worker: () => new Worker("worker.js") } });
  // @ts-expect-error a host that there is not
  createBus("shop", { host: "service-worker" });
  using leadership = shop.lead("sync", ({ epoch, signal }) => {
    expect<Equal<typeof epoch, number>>();
    expect<Equal<typeof signal, AbortSignal>>();
  });
  await leadership.ready({ timeout: 5 });
  shop.addEventListener("error", ({ detail }) => {
    if (isTabmqError(detail, "STALE_LEASE")) expect<Equal<typeof detail.code, "STALE_LEASE">>();
  });
  shop.addEventListener("peer", ({ detail }) => detail.change === "joined" && detail.peer.tags);
  // @ts-expect-error the status is no number
  shop.addEventListener("status", ({ detail }) => detail + 1 === 5);
  shop.addEventListener("returned", ({ detail }) => detail.state === "refused" && detail.code);
  expect<Equal<ReturnType<typeof shop.outbox.get>["quarantined"], number>>();
  const [entry] = await shop.outbox.entries();
  if (entry) await shop.outbox.retry(entry.id);
  shop.peer.update({ tags: { page: "cart" } });
  const leave = shop.status.subscribe((status) => status === "offline");
  leave();
  expect<Equal<ReturnType<typeof shop.host.get>["storage"], "indexeddb" | "files" | "memory">>();
}

export function definitions(): void {
  const shop = defineBus({
    queues: { upload: queue<Upload, { url: string }>({ maxDeliver: 8 }), log: queue<string>() },
  });
  const defined = shop.createBus("shop");
  defined.queue("upload").process((job) => ({ url: job.body.file }));
  // @ts-expect-error the body of another queue
  void defined.queue("log").send(5);
}

export async function transactions(): Promise<void> {
  const staged = await bus.transaction((tx) => {
    // @ts-expect-error the body of another queue
    tx.queue("upload").send(5);
    return tx.queue("upload").send({ file: "a" });
  });
  const receipt: Receipt = staged.receipt();
  await receipt.delivered();
  // @ts-expect-error a builder that is async
  await bus.transaction(async (tx) => void tx.queue("upload").send({ file: "a" }));
  bus.queue("upload").process((job) => {
    job.tx.queue<number>("sizes").send(5, { track: true });
    // @ts-expect-error a transaction waits as a whole
    job.tx.queue<number>("sizes").send(5, { timeout: "1s" });
    return { url: "" };
  });
  const [delivery] = await open.queue<string>("words").receive();
  if (delivery) await open.transaction((tx) => tx.ack(delivery));
}

export async function sampling(): Promise<void> {
  const uplink = open.queue<number>("uplink");
  await uplink.schedule("eu", { every: "5s", latest: "price.eu" });
  await uplink.schedule("eu", { cron: "@hourly", latest: "price.eu" }, undefined, { priority: 1 });
  // @ts-expect-error a body beside the value of the topic
  await uplink.schedule("eu", { every: "5s", latest: "price.eu" }, 5);
  // @ts-expect-error a key beside that of the value
  await uplink.schedule("eu", { every: "5s", latest: "price.eu" }, undefined, { key: "k" });
  // @ts-expect-error once
  await uplink.schedule("eu", { at: new Date(), latest: "price.eu" });
  // @ts-expect-error no body
  await uplink.schedule("eu", { every: "5s" });
}
