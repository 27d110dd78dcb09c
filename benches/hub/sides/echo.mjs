import { once } from "node:events";

import { WebSocket } from "ws";

/** The server alone answers. */
export async function receive() {}

export async function drive(url) {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await once(socket, "open");
  const waiting = new Map();
  let last = 0;
  socket.on("message", (bytes) => {
    const [number, a, b] = JSON.parse(bytes);
    waiting.get(number)(a + b);
    waiting.delete(number);
  });
  return {
    call: async (a, b) => {
      const number = (last += 1);
      const answer = new Promise((resolve) => waiting.set(number, resolve));
      socket.send(JSON.stringify([number, a, b]));
      return (await answer) === a + b;
    },
    end: async () => {
      socket.close();
      await once(socket, "close");
    },
  };
}
