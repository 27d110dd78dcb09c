// What a call costs at least: a WebSocket that gives back what it gets.
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("message", (bytes) => socket.send(bytes));
});
server.on("listening", () => console.log(`ws://127.0.0.1:${server.address().port}`));
