// The other side of each row, in a process of its own: it hears, handles and answers.
// It says `ready`, is told how much to wait for, and says `all` when it has as much.
import { receive } from "./sides.mjs";

const [, , side, url] = process.argv;
const counts = { live: 0, handled: 0 };
let waiting;

function look() {
  if (!waiting || counts[waiting.kind] < waiting.count) return;
  process.send({ all: counts[waiting.kind] });
  counts[waiting.kind] = 0;
  waiting = undefined;
}

function count(kind) {
  counts[kind] += 1;
  look();
}

process.on("message", (wanted) => {
  waiting = wanted;
  process.send({ armed: true });
  look();
});
process.on("disconnect", () => process.exit(0));
await receive(side, url, count);
process.send({ ready: true });
