// A client of the bus "test" made by hand: it says what it is told to, in whatever order.
import { decodeFirst, encode } from "cborg";

export const SCOPE = "tabmq:test";
export const TAG = {
  hello: 1,
  welcome: 2,
  hangup: 3,
  ping: 4,
  announce: 7,
  fragment: 8,
  publish: 9,
  send: 12,
};

const AGAIN_MS = 1000;

export const channel = (name) => new BroadcastChannel(`${SCOPE}:${name}`);
export const random = (length) => crypto.getRandomValues(new Uint8Array(length));
const hexOf = (byte) => (byte + 256).toString(16).slice(1);
export const hex = (bytes) => Array.from(bytes, hexOf).join("");
export const channelOf = (client) => `c:${hex(client)}`;

/** The bytes of all parts, one after another. */
export function joined(...parts) {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** One transport message. */
export const message = (...items) => joined(...items.map((item) => encode(item)));

/** Envelope and frames. */
export function parse(bytes) {
  const items = [];
  for (let rest = bytes; rest.length > 0; ) {
    let item;
    [item, rest] = decodeFirst(rest);
    items.push(item);
  }
  return items;
}

/** The identities of all clients: their locks tell. */
export async function clients() {
  const { held } = await navigator.locks.query();
  const names = held.map(({ name }) => name.split(`${SCOPE}:client:`)[1]).filter(Boolean);
  const bytesOf = (name) => Uint8Array.from(name.match(/../g), (byte) => Number(`0x${byte}`));
  return [...new Set(names)].map(bytesOf);
}

/** `versions`: lowest and highest. `fresh`: it has lost its memory, so what it holds has failed. */
export const hello = ([lowest, highest] = [1, 1], fresh = true, peer = encode({})) => [
  TAG.hello,
  [lowest, highest, 0, null, 0, 0, 1, fresh, peer, [], [], []],
];

export class Session {
  epoch = [0, 0];
  link = 1 + Math.floor(Math.random() * 2 ** 50);
  position = 0;
  /** Frames of the node. */
  frames = [];
  #told = () => {};
  /** Whoever holds no lock counts as gone. */
  #locked;

  /** As another client, if its identity is given; else it holds a lock as every client does. */
  constructor(client) {
    this.client = client ?? random(16);
    this.fresh = client === undefined;
    if (!client) {
      const lock = `${SCOPE}:client:${hex(this.client)}`;
      this.#locked = new Promise((resolve) => {
        void navigator.locks.request(lock, () => {
          resolve();
          return new Promise(() => {});
        });
      });
    }
    this.channel = channel(channelOf(this.client));
    this.channel.onmessage = ({ data }) => {
      const [[epoch, , link], ...frames] = parse(data);
      if (link !== this.link) return;
      this.epoch = epoch;
      this.frames.push(...frames);
      this.#told();
    };
  }

  /** Begins a link; resolves with the first frame of that tag. */
  async dial(versions, answer = TAG.welcome) {
    await this.#locked;
    const node = channel("node");
    node.postMessage(this.next(hello(versions, this.fresh, this.peer)));
    const frame = await this.frame(answer);
    node.close();
    return frame;
  }

  /**
   * Says Hello until it is answered. Whoever it is said for may say its own at the same moment, and
   * the later one counts.
   */
  async insist() {
    for (let isAnswered = false; !isAnswered; ) {
      this.link += 1;
      this.position = 0;
      const again = new Promise((resolve) => setTimeout(resolve, AGAIN_MS, false));
      isAnswered = await Promise.race([this.dial().then(() => true), again]);
    }
  }

  next(...frames) {
    this.position += 1;
    return message([this.epoch, this.client, this.link, this.position], ...frames);
  }

  say(...frames) {
    this.channel.postMessage(this.next(...frames));
  }

  /** The first frame of that tag, once it is there. */
  async frame(tag) {
    for (;;) {
      const found = this.frames.find(([first]) => first === tag);
      if (found) return found;
      await new Promise((resolve) => (this.#told = resolve));
    }
  }
}
