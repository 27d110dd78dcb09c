// A queue of one process that outlives it: `node main.js add tea milk` stores orders in ./data, and
// `node main.js` works them off. Stop it whenever you like; what was not done is done next time.
import { connect, isTabmqError } from "tabmq";

const [verb, ...orders] = process.argv.slice(2);

const bus = await connect("orders", { storage: "./data" }).catch((error) => {
  if (!isTabmqError(error, "UNAVAILABLE")) throw error;
  console.error(error.message);
  process.exit(1);
});
bus.addEventListener("error", ({ detail }) => console.error(detail.message));
const queue = bus.queue("orders", { durability: "strict" });

if (verb === "add") {
  for (const order of orders) await queue.send(order);
  console.log(`${orders.length} stored`);
} else {
  for (let [job] = await next(); job; [job] = await next()) {
    console.log(`${job.body}, attempt ${job.attempt}`);
    await job.ack();
  }
}
await bus.close();

/** Nothing once the queue is empty. */
async function next() {
  await queue.ready();
  const { ready } = await queue.info();
  return ready ? queue.receive() : [];
}
