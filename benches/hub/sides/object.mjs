import { once } from "node:events";

import { WebSocket } from "ws";

/** Nobody takes what is stored. */
export async function receive() {}

/** What it takes to have each message answered once it is stored, and no more. */
export async function drive(url) {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await once(socket, "open");
  const waiting = new Map();
  let last = 0;
  socket.on("message", (bytes) => {
    const number = bytes.length === 4 ? bytes.readUInt32BE() : String(bytes);
    waiting.get(number)();
    waiting.delete(number);
  });
  const answered = (number) => new Promise((resolve) => waiting.set(number, resolve));
  return {
    send: (_, body) => {
      const number = (last += 1);
      const message = Buffer.alloc(4 + body.length);
      message.writeUInt32BE(number);
      message.set(body, 4);
      const answer = answered(number);
      socket.send(message);
      return answer;
    },
    purge: () => {
      const answer = answered("purge");
      socket.send("purge");
      return answer;
    },
    end: async () => {
      socket.close();
      await once(socket, "close");
    },
  };
}
