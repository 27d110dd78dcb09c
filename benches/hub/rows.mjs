// What is compared. A row names its peers: the rest is the same for both sides.

const DURATION_MS = 500;

const live = (bytes) => ({ name: `live ${bytes} B`, work: "live", bytes, count: 20_000 });
const send = (in_flight, durability) => ({
  name: `send, ${durability}, ${in_flight} in flight`,
  work: "send",
  in_flight,
  durability,
});
const through = (durability) => ({
  name: `send to processed, ${durability}`,
  work: "through",
  in_flight: 32,
  durability,
});
/** Of another client, which is two hops more, or of the hub itself. */
const call = (whose, in_flight) => ({
  name: `${whose === "hub" ? "call to the hub" : "call"}, ${in_flight} in flight`,
  work: "call",
  in_flight,
  whose,
});

/** Which side of ours stands beside a peer, if it is not the hub in Node.js. */
export const OURS = { "object by hand": "tabmq in an object" };

const beside = (peer, rows) => rows.map((row) => ({ bytes: 100, ...row, peer, ms: DURATION_MS }));

export const ROWS = [
  ...beside("nats", [live(100), live(1024)]),
  ...beside("jetstream with sync", [
    send(1, "strict"),
    send(32, "strict"),
    send(256, "strict"),
    through("strict"),
  ]),
  ...beside("jetstream", [
    send(1, "relaxed"),
    send(32, "relaxed"),
    send(256, "relaxed"),
    through("relaxed"),
  ]),
  ...beside("object by hand", [send(1, "strict"), send(32, "strict"), send(256, "strict")]),
  ...beside("nats", [call("there", 1), call("there", 32)]),
  ...beside("raw echo", [call("hub", 1), call("hub", 32)]),
];
