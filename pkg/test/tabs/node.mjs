// The other tab: it opens each bus before the tab that runs the cases does, so the node is here, or
// in the worker that this tab started.
import { connect } from "tabmq";

const { host, kind } = Object.fromEntries(new URL(location.href).searchParams);
const buses = new Map();

const orders = {
  async open(name, options) {
    const bus = await connect(name, { ...options, host });
    buses.set(name, bus);
    // A page stands in for a worker that takes long to start.
    await new Promise((resolve) => {
      const look = () => bus.host.get().kind === kind && resolve();
      bus.host.subscribe(look);
      look();
    });
    return bus.host.get();
  },
  async close(name) {
    await buses.get(name).close();
    buses.delete(name);
  },
};

const channel = new BroadcastChannel("cases");
channel.onmessage = async ({ data: { id, order, name, options } }) => {
  try {
    channel.postMessage({ id, node: await orders[order](name, options) });
  } catch (error) {
    channel.postMessage({ id, error: String(error) });
  }
};
globalThis.listens = true;
