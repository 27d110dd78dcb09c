import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { wsconnect } from "@nats-io/nats-core";
import { WebSocket } from "ws";

// Node.js 20 has none, and both sides speak through the same one.
globalThis.WebSocket = WebSocket;

const BATCH_MAX = 1024;

async function streams(connection) {
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: "kept", subjects: ["queue.send"] });
  await manager.streams.add({ name: "through", subjects: ["queue.through"] });
  await manager.consumers.add("through", {
    durable_name: "worker",
    ack_policy: AckPolicy.Explicit,
    max_ack_pending: BATCH_MAX,
  });
  return manager;
}

export async function receive(url, count) {
  const connection = await wsconnect({ servers: url });
  await streams(connection);
  connection.subscribe("bench.live", { callback: () => count("live") });
  connection.subscribe("bench.add", {
    callback: (_, message) => {
      const [a, b] = message.json();
      message.respond(JSON.stringify(a + b));
    },
  });
  const consumer = await jetstream(connection).consumers.get("through", "worker");
  await consumer.consume({
    max_messages: BATCH_MAX,
    callback: (message) => {
      message.ack();
      count("handled");
    },
  });
  await connection.flush();
}

export async function drive(url) {
  const connection = await wsconnect({ servers: url });
  const manager = await streams(connection);
  const stream = jetstream(connection);
  return {
    post: (body) => connection.publish("bench.live", body),
    send: (queue, body) => stream.publish(`queue.${queue}`, body),
    call: async (a, b) => {
      const reply = await connection.request("bench.add", JSON.stringify([a, b]), {
        timeout: 30_000,
      });
      return reply.json() === a + b;
    },
    purge: () => manager.streams.purge("kept"),
    end: () => connection.close(),
  };
}
