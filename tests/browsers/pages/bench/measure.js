// How a rate and a wait are measured, the same for both sides.

/** Repeats `work` with so many under way for as long; it is given the number of its lane. */
export async function perSecond(duration_ms, in_flight, work, weight = 1) {
  const started_ms = performance.now();
  const end_ms = started_ms + duration_ms;
  let done = 0;
  async function lane(number) {
    while (performance.now() < end_ms) {
      await work(number);
      done += weight;
    }
  }
  await Promise.all(Array.from({ length: in_flight }, (_, number) => lane(number)));
  return { done, rate: (done / (performance.now() - started_ms)) * 1_000 };
}

/** The middle of what `work` takes, one after another. */
export async function medianMs(duration_ms, work) {
  const end_ms = performance.now() + duration_ms;
  const times_ms = [];
  while (performance.now() < end_ms) {
    const started_ms = performance.now();
    await work();
    times_ms.push(performance.now() - started_ms);
  }
  return times_ms.sort((a, b) => a - b)[Math.floor(times_ms.length / 2)];
}

/** Bytes that no compression and no shared buffer could make cheap. */
export function bodyOf(length) {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** How the two tabs agree on what has arrived; the same cost on both sides of a comparison. */
const control = new BroadcastChannel("bench-control");

/** What has arrived in this tab. Tells the other tab when there is as much as it waits for. */
export class Arrivals {
  #name;
  #seen = 0;
  #wanted = Infinity;

  constructor(name) {
    this.#name = name;
    control.addEventListener("message", ({ data }) => {
      if (data.expect !== name) return;
      this.#wanted = data.count;
      this.#look();
    });
  }

  add() {
    this.#seen += 1;
    this.#look();
  }

  #look() {
    if (this.#seen < this.#wanted) return;
    this.#seen -= this.#wanted;
    this.#wanted = Infinity;
    control.postMessage({ arrived: this.#name });
  }
}

/** Resolves when so many have arrived in the other tab since the last time. */
export function untilArrived(name, count) {
  control.postMessage({ expect: name, count });
  return new Promise((resolve) => {
    const hear = ({ data }) => {
      if (data.arrived !== name) return;
      control.removeEventListener("message", hear);
      resolve();
    };
    control.addEventListener("message", hear);
  });
}

/** Starts `count` at once and waits until they have arrived; how many that is per second. */
export async function burst(name, count, start) {
  const arrived = untilArrived(name, count);
  const started_ms = performance.now();
  for (let number = 0; number < count; number += 1) start();
  await arrived;
  return (count / (performance.now() - started_ms)) * 1_000;
}

/** Like `perSecond`, but what is done must also have arrived. */
export async function throughPerSecond(name, duration_ms, in_flight, work) {
  const started_ms = performance.now();
  const { done } = await perSecond(duration_ms, in_flight, work);
  await untilArrived(name, done);
  return (done / (performance.now() - started_ms)) * 1_000;
}
