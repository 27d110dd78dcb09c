// The application that the smoke tests build: all three kinds of messages, and every value.
import { connect } from "tabmq";

import { runCases } from "./value-cases.js";

export async function useEverything(options) {
  const bus = await connect("smoke", options);
  const lines = [];
  bus.addEventListener("error", ({ detail }) => lines.push(String(detail)));

  const heard = bus.subscribe("cart.*")[Symbol.asyncIterator]();
  await bus.publish("cart.changed", { items: 3 });
  lines.push(`heard ${(await heard.next()).value.body.items}`);

  const uploads = bus.queue("upload");
  const done = new Promise((resolve) => uploads.process(({ body }) => resolve(body.name)));
  const { stored } = await uploads.send({ name: "photo.jpg" });
  lines.push(`processed ${await done}`);

  bus.serve("calc@1", { add: (a, b) => a + b });
  lines.push(`called ${await bus.client("calc@1").add(2, 3)}`);

  const values = bus.subscribe("values")[Symbol.asyncIterator]();
  const { count, failures } = await runCases(async (value) => {
    await bus.publish("values", value);
    return (await values.next()).value.body;
  });
  const { storage, kind } = bus.host.get();
  await bus.close();
  return { lines, failures, count, storage, kind, durability: stored.durability };
}
