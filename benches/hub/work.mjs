// How a row is done on one side. Each gives how many a second.

/** A process that receives, and the end that the driver has of it. */
export class Place {
  #driver;
  #receiver;

  constructor(driver, receiver) {
    this.#driver = driver;
    this.#receiver = receiver;
  }

  async live({ bytes, count }) {
    const body = crypto.getRandomValues(new Uint8Array(bytes));
    const all = await this.#receiver.await("live", count);
    const began_ms = performance.now();
    for (let sent = 0; sent < count; sent += 1) this.#driver.post(body);
    await all();
    return perSecond(count, began_ms);
  }

  async send({ bytes, in_flight, durability, ms }) {
    const body = crypto.getRandomValues(new Uint8Array(bytes));
    const rate = await loops(in_flight, ms, () => this.#driver.send("send", body, durability));
    await this.#driver.purge();
    return rate.perSecond;
  }

  async through({ bytes, in_flight, durability, ms }) {
    const body = crypto.getRandomValues(new Uint8Array(bytes));
    const work = () => this.#driver.send("through", body, durability);
    const { began_ms, done } = await loops(in_flight, ms, work);
    await (
      await this.#receiver.await("handled", done)
    )();
    return perSecond(done, began_ms);
  }

  async call({ in_flight, whose, ms }) {
    const rate = await loops(in_flight, ms, async () => {
      if (!(await this.#driver.call(2, 3, whose))) throw new Error("a call gave a wrong sum");
    });
    return rate.perSecond;
  }

  async end() {
    await this.#driver.end();
    await this.#receiver.end();
  }
}

async function loops(in_flight, ms, work) {
  const began_ms = performance.now();
  let done = 0;
  const loop = async () => {
    while (performance.now() < began_ms + ms) {
      await work();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: in_flight }, loop));
  return { began_ms, done, perSecond: perSecond(done, began_ms) };
}

const perSecond = (count, began_ms) => (count / (performance.now() - began_ms)) * 1_000;
