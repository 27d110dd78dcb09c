// The smallest application that uses every verb, so that nothing is measured that is not needed and
// nothing needed is left out.
import { connect, createBus } from "tabmq";

const bus = await connect("size");
const lazy = createBus("size");
const topic = bus.topic("price.eu");
const queue = bus.queue("upload");

bus.subscribe("price.#", show);
await bus.publish("price.eu", 1);
topic.post(2);
queue.process(show);
await queue.send({ id: 1 });
bus.serve("calc@1", { add: (a, b) => a + b });
show(await bus.client("calc@1").add(2, 3));
show(await bus.call("calc@1", "add", [2, 3]));
bus.lead("report", show);
show([bus.peers, bus.host, bus.status, lazy.name]);
await bus.flush();
await bus.close();

function show(value) {
  document.body.append(String(value));
}
