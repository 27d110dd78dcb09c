import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const RECEIVER = join(import.meta.dirname, "receiver.mjs");

/** A process with the receiving end of a side. */
export class Receiver {
  #child;

  static async start(side, url) {
    const receiver = new Receiver();
    receiver.#child = fork(RECEIVER, [side, url]);
    await receiver.#said("ready");
    return receiver;
  }

  /** From the answer on it counts; what that gives resolves when it has so many. */
  async await(kind, count) {
    const armed = this.#said("armed");
    const all = this.#said("all");
    // It may come before anybody waits for it, and fail as well.
    all.catch(() => {});
    this.#child.send({ kind, count });
    await armed;
    return async () => {
      const had = await all;
      if (had !== count) throw new Error(`${had} instead of ${count} arrived`);
    };
  }

  async end() {
    const ended = once(this.#child, "exit");
    this.#child.disconnect();
    await ended;
  }

  #said(what) {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const over = (code) => reject(new Error(`a receiver ended with ${code}`));
      const hear = (message) => {
        if (!(what in message)) return;
        child.off("message", hear).off("exit", over);
        resolve(message[what]);
      };
      child.on("message", hear).once("exit", over);
    });
  }
}
