// What a page of the origin can do to a bus without its package, for the orders of a test.
import { encode } from "cborg";
import {
  channel,
  channelOf,
  clients,
  hex,
  joined,
  hello,
  message,
  random,
  Session,
  TAG,
} from "./session.js";

const HUGE_BYTES = 64 << 20;
/** As much as a channel takes that every client hears. */
const LONG_BYTES = 1 << 20;
const FRAME_BYTES = 60_000;

/** One array in the other, of definite length or not. */
const nested = (head) => Uint8Array.from({ length: LONG_BYTES }, (_, at) => head[at % head.length]);

/** What is not bytes, and bytes that are no message. */
function rubbish() {
  const dirty = JSON.parse('{ "__proto__": { "polluted": 1 }, "constructor": { "polluted": 1 } }');
  const cyclic = [];
  cyclic.push(cyclic);
  let deep = 1;
  for (let depth = 0; depth < 500; depth += 1) deep = [deep];
  const values = [null, 1, "text", dirty, cyclic, deep, new Map([["__proto__", dirty]])];
  const buffers = [new ArrayBuffer(10), new Uint16Array(9), new ArrayBuffer(HUGE_BYTES)];
  const bytes = [0, 10, 1000, 60_000].map(random).concat(new Uint8Array(HUGE_BYTES));
  return [...values, ...buffers, ...bytes, ...[[0x81], [0x82, 0x9f], [0xd8, 0x1c]].map(nested)];
}

/** A send of as many items as a frame holds, each as short as can be. */
function sayManyItems(session) {
  const head = [0x86, TAG.send, 1, 0x61, 0x71, 0, 0xf6, 0x9a, 0, 0x3f, 0, 0];
  const items = Uint8Array.from({ length: 0x7e_00_00 }, (_, at) => (at % 2 ? 0x40 : 0x81));
  const frame = new Uint8Array(head.length + items.length);
  frame.set(head);
  frame.set(items, head.length);
  for (let at = 0; at < frame.length; at += FRAME_BYTES) {
    const part = frame.subarray(at, at + FRAME_BYTES);
    session.say([TAG.fragment, at + FRAME_BYTES >= frame.length, part]);
  }
}

/** A live message with a field that nobody knows, as deep as it is long. */
function deepMessage(head) {
  const publisher = random(16);
  const live = encode([publisher, 1, 0, "numbers", encode(1), null]);
  const seven = joined([0x80 + 7], live.subarray(1));
  const envelope = encode([[0, 0], publisher, 0, 0]);
  return joined(envelope, [0x82, TAG.publish], seven, nested(head).subarray(0, LONG_BYTES));
}

async function everyChannel() {
  const own = (await clients()).map(channelOf);
  return ["all", "node", ...own].map(channel);
}

/** Posts what is no message wherever somebody listens. */
globalThis.postRubbish = async () => {
  const everywhere = await everyChannel();
  for (const value of rubbish()) for (const place of everywhere) place.postMessage(value);
  for (const head of [[0x81], [0x82, 0x9f]]) everywhere[0].postMessage(deepMessage(head));
};

/** Longer than any envelope, so that a place or two are not forged but repeated. */
const HEAD_BYTES = 55;

/** The same message with one byte that is another, behind its envelope. */
function flipped(data, by) {
  const bytes = data.slice();
  bytes[HEAD_BYTES + (by % (data.length - HEAD_BYTES))] ^= 1 + (by % 255);
  return bytes;
}

/** Listens everywhere, and says what it hears again, cut and flipped, so often. */
globalThis.repeatDamaged = async (count) => {
  const everywhere = await everyChannel();
  const [all] = everywhere;
  let left = count;
  await new Promise((resolve) => {
    for (const place of everywhere) {
      place.onmessage = ({ data }) => {
        if (left <= 0 || !(data instanceof Uint8Array)) return;
        left -= 1;
        // What is for everyone has no place, so that flipped it would be another live message.
        if (place !== all && data.length > HEAD_BYTES) place.postMessage(flipped(data, left));
        place.postMessage(data.subarray(0, data.length - 1 - (left % data.length)));
        place.postMessage(data);
        if (left === 0) resolve();
      };
    }
  });
  for (const place of everywhere) place.close();
};

/** A claim of the node's place under epochs that no store has. */
globalThis.claimEpochs = (counters) => {
  const all = channel("all");
  for (const counter of counters) {
    const epoch = [BigInt(counter), 1];
    all.postMessage(message([epoch, random(16), 0, 0], [TAG.announce, random(16)]));
  }
};

/** Says Hello under the name of each client, and where it is answered goes on as that one. */
globalThis.impersonate = async (unanswered) => {
  for (const client of await clients()) {
    const session = new Session(client);
    // A page that hosts answers itself without a channel.
    if (hex(client) === unanswered) {
      void session.dial();
      continue;
    }
    await session.insist();
    session.say([TAG.send, 1, "jobs", 0, null, [[encode("forged")]]]);
    session.channel.close();
  }
};

/** Clients that nobody knows say Hello, and never anything more. */
globalThis.floodHellos = (count) => {
  const node = channel("node");
  for (let number = 1; number <= count; number += 1) {
    node.postMessage(message([[0, 0], random(16), number, 1], hello()));
  }
};

/** A client says what is valid, and reads nothing of what it is answered. */
globalThis.floodFrames = async (count) => {
  const session = new Session();
  await session.dial();
  session.channel.onmessage = null;
  const all = channel("all");
  for (let number = 1; number <= count; number += 1) {
    session.say([TAG.ping, number], [TAG.send, number, "flood", 0, null, [[random(100)]]]);
    const live = [session.client, number, number - 1, "flood", encode(number)];
    all.postMessage(message([session.epoch, session.client, 0, 0], [TAG.publish, live]));
  }
};

/** What a session may do against the rules, by name. */
const FAULTS = {
  garbage: (session) => session.channel.postMessage(joined(session.next(), [0xff, 0xff])),
  cut: (session) => session.channel.postMessage(session.next([TAG.ping, 1000]).slice(0, -1)),
  "an unknown tag": (session) => session.say([9999, 1]),
  "a frame of the node": (session) => session.say([TAG.announce, random(16)]),
  "a hole": (session) => {
    session.position += 1;
    session.say([TAG.ping, 1]);
  },
  "a repeat": (session) => {
    session.position -= 1;
    session.say([TAG.ping, 1]);
  },
  "a fragment without an end": (session) => {
    const part = new Uint8Array(FRAME_BYTES);
    for (let sent = 0; sent <= 9 << 20; sent += FRAME_BYTES) {
      session.say([TAG.fragment, false, part]);
    }
  },
  "a frame among fragments": (session) => {
    session.say([TAG.fragment, false, random(10)]);
    session.say([TAG.ping, 1]);
  },
  "a list longer than its bytes": (session) => {
    const endless = [0x86, TAG.send, 1, 0x61, 0x71, 0, 0xf6, 0x9a, 0xff, 0xff, 0xff, 0xff];
    session.channel.postMessage(joined(session.next(), endless));
  },
  "millions of items": sayManyItems,
  "another epoch": (session) => {
    session.epoch = [session.epoch[0], 7];
    session.say([TAG.ping, 1]);
  },
};

/** The codes with which sessions are hung up, by what they did. */
globalThis.provoke = async () => {
  const told = {};
  for (const [name, commit] of Object.entries(FAULTS)) {
    const session = new Session();
    await session.dial();
    commit(session);
    [, told[name]] = await session.frame(TAG.hangup);
  }
  for (const versions of [[2, 9], [0, 0], [9, 2]]) {
    [, told[`version ${versions}`]] = await new Session().dial(versions, TAG.hangup);
  }
  return told;
};

/** A list that holds another one twice, and that one the next: short, and endless as a text. */
function endlessText() {
  const depths = Array.from({ length: 40 }, (_, depth) => depth);
  const begun = depths.flatMap(() => [0x82, 0xd8, 0x1c]);
  const ends = depths.toReversed().map((depth) => joined([0xd8, 0x1d], encode(depth)));
  return joined(begun, [0x80], ...ends);
}

/** Clients whose names and tags are no texts. */
globalThis.introduce = async () => {
  const tags = joined([0xa1], encode("__proto__"), encode({ polluted: 1 }));
  const peers = [
    joined([0xa2], encode("name"), endlessText(), encode("tags"), tags),
    joined([0xa1], encode("tags"), joined([0xa1], encode("tag"), endlessText())),
    nested([0x81]).subarray(0, 10_000),
  ];
  for (const peer of peers) {
    const session = new Session();
    session.peer = peer;
    await session.dial();
  }
  return peers.length;
};

/** Bodies that no codec of ours writes, as messages of all kinds. */
globalThis.postBodies = async () => {
  const session = new Session();
  await session.dial();
  const all = channel("all");
  const bodies = [
    nested([0x81]).subarray(0, 10_000),
    joined([0xa1], encode("__proto__"), encode({ polluted: 1 })),
    joined([0xa1], encode("constructor"), encode({ prototype: { polluted: 1 } })),
    Uint8Array.of(0x9b, 0, 0, 0, 1, 0, 0, 0, 0),
    Uint8Array.of(0xd9, 0xff, 0xff, 1),
    Uint8Array.of(0xff),
    new Uint8Array(),
  ];
  for (const [index, body] of bodies.entries()) {
    const live = [session.client, index + 1, index, "bodies", body];
    all.postMessage(message([session.epoch, session.client, 0, 0], [TAG.publish, live]));
    session.say([TAG.send, index + 1, "bodies", 0, null, [[body]]]);
  }
  return bodies.length;
};

globalThis.loaded = true;
